import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LoadPlan } from './load.ts';
import type { RawSample } from './wrk.ts';

const program = join(import.meta.dirname, 'generator.ts');

/** Runs our own generator in a process of its own. */
export async function runNodeLoad(plan: LoadPlan): Promise<RawSample> {
  const command = [process.execPath, program, JSON.stringify(plan)];
  const pinned = plan.cores ? ['taskset', '--cpu-list', plan.cores, ...command] : command;
  const [file = '', ...args] = pinned;
  const { stdout } = await promisify(execFile)(file, args);
  return JSON.parse(stdout) as RawSample;
}
