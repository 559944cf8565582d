import { findProgram } from '@er-gateway/shared/config/effective-config';
import { runNodeLoad } from './node-load.ts';
import { runWrk } from './wrk.ts';

/** Where requests go. */
export interface Destination {
  /** Whole URL. */
  url: string;
  headers?: Record<string, string>;
}

/** What is sent, by how many, for how long. */
export interface LoadPlan extends Destination {
  /** File of request bodies, one a line (see bodies.ts). */
  bodies: string;
  /** Clients that each send the next request when the last was answered; or requests a second, whatever is answered. */
  arrivals: { clients: number } | { perSecond: number };
  seconds: number;
  /** Differs between samples, so that they begin with different bodies; equal seeds arrive at equal times. */
  seed: number;
  /** Cores of the generator, as taskset names them. */
  cores?: string;
}

/** What came of it. */
export interface LoadSample {
  generator: 'wrk' | 'node';
  requests: number;
  seconds: number;
  perSecond: number;
  /** Bytes received, headers included where the generator counts them. */
  bytes: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
  /** CPU of the generator for each request, in microseconds: what it takes away from those it measures. */
  generatorUs: number;
}

/**
 * Puts load on a destination. Closed loops run on wrk when it is installed (about 10 us of CPU a request), else on our own
 * generator, which open loops need anyway. Throws when an answer was no success: such a sample says nothing.
 */
export async function runLoad(plan: LoadPlan): Promise<LoadSample> {
  const isClosed = 'clients' in plan.arrivals;
  const { badStatus, broken, ...sample } =
    isClosed && findProgram('wrk', process.env) ? await runWrk(plan) : await runNodeLoad(plan);
  if (badStatus + broken > 0 || sample.requests === 0) {
    throw new Error(
      `${plan.url}: of ${sample.requests} requests ${badStatus} got a bad status and ${broken} no answer`,
    );
  }
  return { ...sample, perSecond: sample.requests / sample.seconds };
}
