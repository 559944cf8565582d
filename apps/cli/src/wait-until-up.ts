import { setTimeout as delay } from 'node:timers/promises';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { controlSockets } from './control-sockets.ts';
import { askGateway, type GatewayAnswer } from './gateway-request.ts';
import { type ModelView, modelViews } from './model-view.ts';
import type { Pm2, Pm2Process } from './pm2.ts';
import type { Progress, ProgressItem } from './progress.ts';
import { FailureFinder, type StartFailure } from './start-failure.ts';

/** Longest wait for both models: vLLM may compile for minutes. */
const limitMs = 10 * 60_000;
const lookEveryMs = 200;
/** Asking PM2 costs half a second of CPU, which the starting processes need. */
const askPm2EveryMs = 3000;

/** What is to be waited for. */
export interface Awaited {
  config: EffectiveConfig;
  pm2: Pm2;
  progress: Progress;
  /** The `pm2 start` that is under way; fails when PM2 refused. */
  started: Promise<StartFailure | null>;
  isTerminal: boolean;
  /** Waits for the gateway alone: a model that loads, or cannot, is shown and holds nobody up. */
  detach: boolean;
}

/**
 * Waits until every worker is up and `/health` is 200 (with `detach`: until the gateway answers at all). Resolves to null,
 * or to why that will not happen.
 */
export async function waitUntilUp(awaited: Awaited): Promise<StartFailure | null> {
  const { config, pm2, progress } = awaited;
  const deadline = performance.now() + limitMs;
  let hasStarted = false;
  let refusal: StartFailure | null = null;
  awaited.started.then(failure => {
    hasStarted = true;
    refusal = failure;
  });
  let askPm2At = Number.NEGATIVE_INFINITY;
  const failures = new FailureFinder();

  while (performance.now() < deadline) {
    const workers = controlSockets(config.run_dir).filter(({ app }) => app === 'gateway').length;
    const models = await modelViews(config);
    const health = workers > 0 ? await askGateway(config, '/health') : null;
    progress.show(itemsOf(awaited, workers, models));
    if (refusal) return refusal;
    if (hasStarted && isUp(awaited, workers, health)) return null;
    if (hasStarted && performance.now() >= askPm2At) {
      const processes = (await pm2.list()).filter(process => process.isOurs);
      const failure = awaited.detach
        ? failures.find(withoutModels(processes), [])
        : failures.find(processes, models);
      if (failure) return failure;
      askPm2At = performance.now() + askPm2EveryMs;
    }
    await delay(lookEveryMs);
  }
  return { reason: `it is not up after ${limitMs / 60_000} minutes`, logFile: null };
}

function isUp({ config, detach }: Awaited, workers: number, health: GatewayAnswer | null): boolean {
  return detach ? health !== null : workers >= config.gateway.workers && health?.status === 200;
}

const withoutModels = (processes: readonly Pm2Process[]) =>
  processes.filter(({ name }) => !roles.some(role => role === name));

function itemsOf(
  { config, isTerminal }: Awaited,
  workers: number,
  models: readonly ModelView[],
): ProgressItem[] {
  const wanted = config.gateway.workers;
  // Elsewhere than on a terminal each change is a line: a quarter of them at a time.
  const step = isTerminal ? 1 : Math.max(1, Math.ceil(wanted / 4));
  const counted = workers >= wanted ? wanted : Math.floor(workers / step) * step;
  return [
    { name: 'gateway', text: `${counted} of ${wanted} workers are up`, isDone: workers >= wanted },
    ...models.map(model => ({ name: model.app, text: textOf(model), isDone: model.isReady })),
  ];
}

function textOf({ isReady, state, detail, lastError }: ModelView): string {
  if (isReady) return 'answers';
  if (state === 'stopped') return 'is being started';
  return [state, detail, lastError && state !== 'ready' ? `last error: ${lastError}` : '']
    .filter(Boolean)
    .join(', ');
}
