import type { ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
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
  const reasons = models.filter(model => !model.isReady).map(model => `${model.servedName}: ${model.reason}`);
  if (seen === null) reasons.push('the scheduler is not up yet');
  if (obstacle !== null) reasons.push(obstacle);
  const isHealthy = reasons.length === 0;
  if (!isHealthy) res.setHeader('retry-after', '2');
  res.status(isHealthy ? 200 : 503).json({
    status: isHealthy ? 'ok' : 'unavailable',
    reason: isHealthy ? null : reasons.join('; '),
    models: Object.fromEntries(
      models.map(({ servedName, role, isReady, reason, engine, engineLabel, modelName }) => [
        servedName,
        { role, ready: isReady, reason, engine, answers_as: modelName, engine_label: engineLabel },
      ]),
    ),
  });
}
