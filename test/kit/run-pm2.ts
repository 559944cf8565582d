import { join } from 'node:path';
import { type ProgramResult, runProgram } from './run-program.ts';
import { projectRoot, type Stack, type StackPlace } from './stack.ts';

/** One process of PM2's list. */
export interface ListedProcess {
  name: string;
  pm_id: number;
  pid: number;
  pm2_env: {
    status: string;
    restart_time: number;
    exit_code?: number;
    node_version: string;
    /** Its number among the processes of its app. */
    NODE_APP_INSTANCE: number;
  };
}

/** Runs the project's own `pm2 <args>` in a stack or its place. */
export const runPm2 = ({ env }: Pick<Stack | StackPlace, 'env'>, ...args: string[]): Promise<ProgramResult> =>
  runProgram(join(projectRoot, 'node_modules', '.bin', 'pm2'), args, {
    cwd: projectRoot,
    env: { ...env, PM2_DISABLE_VERSION_CHECK: '1', PM2_DISCRETE_MODE: 'true' },
  });

/** What `pm2 jlist` shows. */
export async function listProcesses(where: Pick<Stack | StackPlace, 'env'>): Promise<ListedProcess[]> {
  const { code, output } = await runPm2(where, 'jlist');
  const line = output.split('\n').findLast(text => text.startsWith('['));
  if (code !== 0 || !line) throw new Error(`pm2 jlist ended with ${code}:\n${output}`);
  return JSON.parse(line) as ListedProcess[];
}
