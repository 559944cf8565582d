import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LoadPlan, LoadSample } from './load.ts';

/** A sample before its errors were judged. */
export type RawSample = Omit<LoadSample, 'perSecond'> & {
  /** Answers with a status from 400. */
  badStatus: number;
  /** Requests without an answer. */
  broken: number;
};

const script = join(import.meta.dirname, 'closed-loop.lua');
/** Longest wait for one answer; wrk counts a slower one as an error. */
const timeoutSeconds = 120;

/** A closed loop on wrk, in one thread. */
export async function runWrk(plan: LoadPlan): Promise<RawSample> {
  if (!('clients' in plan.arrivals)) throw new Error('wrk only does closed loops');
  const headers = Object.entries({ 'content-type': 'application/json', ...plan.headers });
  const command = [
    'wrk',
    ...['--threads', '1', '--connections', String(plan.arrivals.clients)],
    ...['--duration', `${plan.seconds}s`, '--timeout', `${timeoutSeconds}s`],
    ...headers.flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    ...['--script', script, plan.url, '--', plan.bodies, String(plan.seed)],
  ];
  const pinned = plan.cores ? ['taskset', '--cpu-list', plan.cores, ...command] : command;
  const [program = '', ...args] = pinned;
  const { stdout } = await promisify(execFile)(program, args);
  return parseWrk(stdout);
}

/** Reads what closed-loop.lua prints at the end. */
export function parseWrk(output: string): RawSample {
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  if (!line) throw new Error(`wrk ended without a result:\n${output}`);
  const { cpuTicks, ...sample } = JSON.parse(line) as Omit<RawSample, 'generator' | 'generatorUs'> & {
    cpuTicks: number;
  };
  const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  const generatorUs = sample.requests === 0 ? 0 : ((cpuTicks / ticksPerSecond) * 1e6) / sample.requests;
  return { generator: 'wrk', ...sample, generatorUs };
}
