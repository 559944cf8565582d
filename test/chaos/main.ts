import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { readStatusFile } from '@er-gateway/shared/model-process-status';
import { table } from '../../apps/cli/src/table.ts';
import { mostFailedStarts } from '../../supervisor/src/back-off.ts';
import { fakeVllmSettings } from '../kit/fake-vllm.ts';
import { startLoad } from '../kit/load.ts';
import { processStatuses } from '../kit/process-status.ts';
import { listProcesses } from '../kit/run-pm2.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';
import { type Kill, kills } from './kills.ts';

/** What one death has cost. */
interface Cost {
  name: string;
  sent: number;
  failed: number;
  refused: number;
  recoverySeconds: number;
  left: number;
  isAllowed: boolean;
  firstFailure: string | undefined;
}

const connections = 8;
const recoveryTimeoutMs = 120_000;
const modelApps = ['embedding', 'embedding-1', 'reranker'];

const words = process.argv.slice(2);
const chosen = kills.filter(({ name }) => words.length === 0 || words.some(word => name.includes(word)));
const folder = mkdtempSync(join(tmpdir(), 'er-chaos-'));
const stack = await startStack({
  workers: 2,
  env: fakeVllmSettings(folder, {
    ER_MODELS_EMBEDDING_REPLICAS: '2',
    FAKE_VLLM_BOOT_MS: '1000',
    FAKE_VLLM_STEP_MS: '5',
  }),
});
const costs: Cost[] = [];
try {
  for (const kill of chosen) {
    const cost = await costOf(stack, kill);
    console.log(`${cost.isAllowed ? 'ok  ' : 'FAIL'} ${kill.name}`);
    costs.push(cost);
  }
} finally {
  await stack.stop();
  rmSync(folder, { recursive: true });
}
console.log(
  `\n${table(
    ['what was killed', 'sent', 'failed', '503', 'recovered after', 'left', ''],
    costs.map(({ name, sent, failed, refused, recoverySeconds, left, isAllowed }) => [
      name,
      `${sent}`,
      `${failed}`,
      `${refused}`,
      `${recoverySeconds.toFixed(1)} s`,
      `${left}`,
      isAllowed ? 'ok' : 'FAIL',
    ]),
  )}`,
);
for (const { name, firstFailure } of costs)
  if (firstFailure) console.log(`${name}: first failure: ${firstFailure}`);
process.exitCode = costs.length > 0 && costs.every(({ isAllowed }) => isAllowed) ? 0 : 1;

async function costOf(on: Stack, { name, run, allowed }: Kill): Promise<Cost> {
  await recovered(on);
  await forgiven(on);
  const load = startLoad({
    ...on,
    connections,
    body: id => ({ input: `about ${id} of ${performance.now()}` }),
  });
  await load.answersMore(50);
  const before = await processesOf(on);
  const begin = performance.now();
  const leftOf = await run(on);
  await untilDisturbed(on, before, begin);
  await recovered(on);
  const recoverySeconds = (performance.now() - begin) / 1000;
  await load.answersMore(50);
  const { answered, failures } = await load.stop();
  const refused = failures.filter(({ reason }) => reason.startsWith('503')).length;
  const failed = failures.length - refused;
  const left = leftOf();
  return {
    name,
    sent: answered + failures.length,
    failed,
    refused,
    recoverySeconds,
    left,
    isAllowed: failed <= allowed.failed && (refused === 0 || allowed.may503) && left === 0,
    firstFailure: failures[0]?.reason.slice(0, 200),
  };
}

/** Until the death shows, or has had its time to: the system looks well for a moment after each. */
async function untilDisturbed(on: Stack, before: string, begin: number): Promise<void> {
  const showsWithinMs = 30_000;
  await waitFor(
    'the death to show',
    async () => performance.now() - begin > showsWithinMs || (await processesOf(on)) !== before,
    {
      timeoutMs: showsWithinMs + 10_000,
      intervalMs: 250,
    },
  );
}

/** Who runs, by PM2: changes with every death. */
async function processesOf(on: Stack): Promise<string> {
  return (await listProcesses(on)).map(({ name, pid }) => `${name} ${pid}`).join();
}

async function recovered(on: Stack): Promise<void> {
  await waitFor(
    'the system to be as before',
    async () => {
      const list = await listProcesses(on);
      if (list.length < 8 || list.some(({ pm2_env }) => pm2_env.status !== 'online')) return false;
      if ((await fetch(`${on.url}/health`)).status !== 200) return false;
      const [scheduler] = await processStatuses<SchedulerStatus>(on.runDir, 'scheduler');
      const servers = Object.values(scheduler?.status.models ?? {}).flatMap(({ upstreams }) => upstreams);
      return servers.length === 3 && servers.every(({ isReady }) => isReady);
    },
    { timeoutMs: recoveryTimeoutMs, intervalMs: 200 },
  );
}

/**
 * Until no model server is near the failures in a row after which its supervisor gives up: the rows come faster than the
 * steady minute in which a supervisor forgets, and one of them kills twice.
 */
async function forgiven(on: Stack): Promise<void> {
  const most = mostFailedStarts - 3;
  await waitFor(
    'the deaths before to be forgotten',
    () =>
      modelApps.every(app => {
        const status = readStatusFile(runPaths.modelStatus(on.runDir, app));
        return status !== null && status.failedStarts <= most;
      }),
    { timeoutMs: recoveryTimeoutMs, intervalMs: 500 },
  );
}

interface SchedulerStatus {
  models: Record<string, { upstreams: { isReady: boolean }[] }>;
}
