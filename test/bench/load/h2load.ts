import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import type { Destination } from './load.ts';

/** What h2load sends: one body, over and over. */
export interface H2LoadPlan extends Destination {
  protocol: 'http/1.1' | 'h2';
  connections: number;
  /** Requests at once on each connection; HTTP/1.1 has one. */
  streams: number;
  bodyFile: string;
  seconds: number;
}

export interface H2LoadSample {
  requests: number;
  perSecond: number;
  meanMs: number;
}

/** Puts load on a destination with h2load, which speaks both protocols. Throws when a request failed. */
export async function runH2Load(plan: H2LoadPlan): Promise<H2LoadSample> {
  if (!findProgram('h2load', process.env))
    throw new Error('the load generator h2load is needed (Debian: apt-get install nghttp2-client)');
  const { protocol, connections, streams, bodyFile, seconds, url, headers = {} } = plan;
  const { stdout } = await promisify(execFile)('h2load', [
    ...(protocol === 'http/1.1' ? ['--h1'] : []),
    ...['--clients', String(connections), '--max-concurrent-streams', String(streams)],
    ...['--duration', String(seconds), '--data', bodyFile],
    ...Object.entries({ 'content-type': 'application/json', ...headers }).flatMap(([name, value]) => [
      '--header',
      `${name}: ${value}`,
    ]),
    url,
  ]);
  return parseH2Load(stdout);
}

/** Reads what h2load prints. Throws when it is not there, or when a request failed. */
function parseH2Load(output: string): H2LoadSample {
  const [, perSecond] = /^finished in .*?, ([\d.]+) req\/s/m.exec(output) ?? [];
  const [, succeeded, failed, errored, timedOut] =
    /^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/m.exec(output) ?? [];
  const [, , , mean, unit] =
    /^time for request: +([\d.]+\w+) +([\d.]+\w+) +([\d.]+)(us|ms|s)/m.exec(output) ?? [];
  const [, others] = /^status codes: \d+ 2xx, (.*)$/m.exec(output) ?? [];
  if (!perSecond || !succeeded || !mean || !unit || !others)
    throw new Error(`h2load ended without a result:\n${output}`);
  const bad = Number(failed) + Number(errored) + Number(timedOut);
  if (bad > 0 || /[1-9]\d* [345]xx/.test(others)) throw new Error(`requests failed:\n${output}`);
  const toMs = { us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN;
  return { requests: Number(succeeded), perSecond: Number(perSecond), meanMs: Number(mean) * toMs };
}
