import type { Stack } from './stack.ts';

/** One process of PM2's list. */
export interface ListedProcess {
  name: string;
  pid: number;
  pm2_env: { status: string; restart_time: number; exit_code?: number; node_version: string };
}

/** What `pm2 jlist` shows. */
export async function listProcesses({ pm2 }: Pick<Stack, 'pm2'>): Promise<ListedProcess[]> {
  const lines = (await pm2(['jlist'])).split('\n');
  return JSON.parse(lines.findLast(line => line.startsWith('[')) ?? '[]') as ListedProcess[];
}
