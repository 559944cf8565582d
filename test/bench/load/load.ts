import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import { secondsOfTicks } from '../measure/process-table.ts';

/** Where requests go. */
export interface Destination {
  /** Whole URL. */
  url: string;
  headers?: Record<string, string>;
}

/**
 * When requests are sent: by clients that each send the next one when the last was answered, or at random times (Poisson)
 * at a mean rate.
 */
export type Arrivals = { clients: number } | { perSecond: number };

/** What is sent, by how many, for how long. */
export interface LoadPlan extends Destination {
  /** File of request bodies, one a line (see bodies.ts). */
  bodies: string;
  arrivals: Arrivals;
  /** A whole number: wrk takes no other. */
  seconds: number;
  /** Differs between samples, so that they begin with different bodies. */
  seed: number;
  /** Cores of the generator, as taskset names them. */
  cores?: string;
  /** Failed requests are counted, and do not make the sample worthless. Default false. */
  mayFail?: boolean;
}

/** What came of it. */
export interface LoadSample {
  /** Answered with success. */
  requests: number;
  /** Answered with a status from 400, or not at all. */
  failed: number;
  seconds: number;
  perSecond: number;
  /** Received, headers included. */
  bytes: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
  /** CPU of the generator for each request, in microseconds: what it takes away from those it measures. */
  generatorUs: number;
}

const script = join(import.meta.dirname, 'load.lua');
/** Longest wait for one answer; wrk counts a slower one as an error. */
const timeoutSeconds = 120;
/** Connections that make Poisson arrivals together. Each pauses for seconds, so that answers of 20 ms change little. */
const poissonConnections = 512;

/** Puts load on a destination with wrk. Throws when a request failed, unless it may: such a sample says nothing. */
export async function runLoad(plan: LoadPlan): Promise<LoadSample> {
  if (!findProgram('wrk', process.env))
    throw new Error('the load generator wrk is needed (Debian: apt-get install wrk)');
  const { connections, meanPauseMs } = toConnections(plan.arrivals);
  const headers = Object.entries({ 'content-type': 'application/json', ...plan.headers });
  const command = [
    ...(plan.cores ? ['taskset', '--cpu-list', plan.cores] : []),
    ...['wrk', '--threads', '1', '--connections', String(connections)],
    ...['--duration', `${plan.seconds}s`, '--timeout', `${timeoutSeconds}s`],
    ...headers.flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    ...['--script', script, plan.url, '--', plan.bodies, String(plan.seed)],
    ...(meanPauseMs === null ? [] : [String(meanPauseMs)]),
  ];
  const [program = '', ...args] = command;
  const { stdout } = await promisify(execFile)(program, args);
  const sample = parseLoad(stdout);
  if (sample.requests === 0 || (sample.failed > 0 && !plan.mayFail)) {
    throw new Error(`${plan.url}: ${sample.requests} requests were answered, ${sample.failed} failed`);
  }
  return sample;
}

function toConnections(arrivals: Arrivals): { connections: number; meanPauseMs: number | null } {
  if ('clients' in arrivals) return { connections: arrivals.clients, meanPauseMs: null };
  return { connections: poissonConnections, meanPauseMs: (poissonConnections / arrivals.perSecond) * 1000 };
}

/** Reads what load.lua prints at the end. Throws when it is not there. */
export function parseLoad(output: string): LoadSample {
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  if (!line) throw new Error(`wrk ended without a result:\n${output}`);
  const { cpuTicks, badStatus, broken, ...seen } = JSON.parse(line) as Omit<
    LoadSample,
    'perSecond' | 'generatorUs' | 'failed'
  > &
    Record<'badStatus' | 'broken' | 'cpuTicks', number>;
  const requests = seen.requests - badStatus;
  return {
    ...seen,
    requests,
    failed: badStatus + broken,
    perSecond: requests / seen.seconds,
    generatorUs: (secondsOfTicks(cpuTicks) * 1e6) / Math.max(1, seen.requests),
  };
}
