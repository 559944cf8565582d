import { describeTimes } from '@er-gateway/shared/model-process-status';
import type { ModelStatus, ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import type { Response, Router } from 'express';

/** What health tells of: the models as the scheduler sees them, and whether this worker is being stopped. */
export interface HealthSources {
  models: () => ModelsStatus | null;
  isDraining: () => boolean;
}

/**
 * Public routes. `/health`: can both models answer now? `/health/ready`: that, and is this worker staying?
 * `/health/live`: does this process turn?
 */
export function addHealthRoutes(router: Router, { models, isDraining }: HealthSources): void {
  router.get('/health', (_req, res) => sendHealth(res, models(), null));
  router.get('/health/ready', (_req, res) =>
    sendHealth(res, models(), isDraining() ? 'this worker is being stopped' : null),
  );
  router.get('/health/live', (_req, res) => {
    res.status(200).json({ status: 'ok' });
  });
}

function sendHealth(res: Response, seen: ModelsStatus | null, obstacle: string | null): void {
  const models = Object.values(seen?.models ?? {});
  const reasons = models
    .filter(model => !model.isReady)
    .map(model => `${model.servedName}: ${model.reason}${timesOf(model)}`);
  if (seen === null) reasons.push('the scheduler is not up yet');
  if (obstacle !== null) reasons.push(obstacle);
  const isHealthy = reasons.length === 0;
  if (!isHealthy) res.setHeader('retry-after', String(secondsUntilReady(models)));
  res.status(isHealthy ? 200 : 503).json({
    status: isHealthy ? 'ok' : 'unavailable',
    reason: isHealthy ? null : reasons.join('; '),
    models: Object.fromEntries(
      models.map(({ servedName, role, isReady, reason, expectedReadyAt, engine, engineLabel, modelName }) => [
        servedName,
        {
          role,
          ready: isReady,
          reason,
          expected_ready_at: expectedReadyAt === null ? null : new Date(expectedReadyAt).toISOString(),
          engine,
          answers_as: modelName,
          engine_label: engineLabel,
        },
      ]),
    ),
  });
}

/** ` (14 s, about 20 s to go)` of a model that is on its way; empty when nobody knows. */
function timesOf({ unreadySince, expectedReadyAt }: ModelStatus): string {
  if (unreadySince === null) return '';
  return ` (${describeTimes(unreadySince, expectedReadyAt, Date.now())})`;
}

/** Seconds after which nobody knows more. */
const unknownSeconds = 2;

/** Until the last model is expected, in whole seconds. */
function secondsUntilReady(models: readonly ModelStatus[]): number {
  const waits = models
    .filter(({ isReady }) => !isReady)
    .map(({ expectedReadyAt }) =>
      expectedReadyAt === null ? unknownSeconds : Math.ceil((expectedReadyAt - Date.now()) / 1000),
    );
  return Math.max(unknownSeconds, ...waits);
}
