import { describeTimes } from '@er-gateway/shared/model-process-status';
import type { ModelStatus, ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import type { Response, Router } from 'express';
import { Exchange, type Route } from '../request/exchange.ts';
import type { Recorder } from '../request/recorder.ts';
import { sendWhole } from '../request/send-answer.ts';

/** What health tells of: the models as the scheduler sees them, and whether this worker is being stopped. */
export interface HealthSources {
  models: () => ModelsStatus | null;
  isDraining: () => boolean;
  /** The audit trail of this worker. */
  audit: { isFailing: boolean; lost: number };
  recorder: Recorder;
}

/**
 * Public routes. `/health`: can both models answer now? `/health/ready`: that, and is this worker staying?
 * `/health/live`: does this process turn?
 */
export function addHealthRoutes(
  router: Router,
  { models, isDraining, audit, recorder }: HealthSources,
): void {
  const on = (path: string, answer: (exchange: Exchange) => [status: number, body: unknown]) => {
    const route: Route = { name: path, access: 'public', isCharged: false, dialect: null };
    router.get(path, (req, res) => {
      const exchange = new Exchange(req, res, route);
      recorder.begin(exchange);
      const [status, body] = answer(exchange);
      sendWhole(exchange, status, JSON.stringify(body));
    });
  };
  on('/health', ({ res }) => healthOf(res, models(), audit, null));
  on('/health/ready', ({ res }) =>
    healthOf(res, models(), audit, isDraining() ? 'this worker is being stopped' : null),
  );
  on('/health/live', () => [200, { status: 'ok' }]);
}

function healthOf(
  res: Response,
  seen: ModelsStatus | null,
  audit: HealthSources['audit'],
  obstacle: string | null,
): [status: number, body: unknown] {
  const models = Object.values(seen?.models ?? {});
  const reasons = models
    .filter(model => !model.isReady)
    .map(model => `${model.servedName}: ${model.reason}${timesOf(model)}`);
  if (seen === null) reasons.push('the scheduler is not up yet');
  if (obstacle !== null) reasons.push(obstacle);
  const isHealthy = reasons.length === 0;
  if (!isHealthy) res.setHeader('retry-after', String(secondsUntilReady(models)));
  // Requests are answered all the same: a full disk is the operator's trouble, not the callers'.
  if (audit.isFailing) reasons.push(`the audit trail cannot be written (${audit.lost} lines lost)`);
  const body = {
    status: isHealthy ? (audit.isFailing ? 'degraded' : 'ok') : 'unavailable',
    reason: reasons.length === 0 ? null : reasons.join('; '),
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
  };
  return [isHealthy ? 200 : 503, body];
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
