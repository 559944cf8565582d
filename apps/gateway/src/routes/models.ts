import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import type { Exchange } from '../request/exchange.ts';
import { sendAnswer } from '../request/send-answer.ts';

/** OpenAI wants a time of creation; all workers must say the same one. Release of Qwen3-Embedding, 2025-06-05. */
const createdAt = 1749081600;

/** `GET /v1/models`, and `GET /v1/models/NAME` when a name is asked for. */
export function sendModels(
  exchange: Exchange,
  { config, models: seen }: { config: EffectiveConfig; models: ModelsStatus | null },
): Promise<void> {
  const models = roles.map(role => {
    const { served_name: id, engine, max_model_len: configured } = config.models[role];
    const status = seen?.models[role];
    return {
      id,
      object: 'model',
      created: createdAt,
      owned_by: 'er-gateway',
      task: role === 'embedding' ? 'embed' : 'score',
      engine: status?.engineLabel ?? engine,
      answers_as: status?.modelName ?? null,
      ready: status?.isReady ?? false,
      max_model_len: status?.maxModelLen ?? configured,
    };
  });
  const wanted = exchange.req.params.model;
  if (wanted === undefined) return sendAnswer(exchange, JSON.stringify({ object: 'list', data: models }));
  const model = models.find(({ id }) => id === wanted);
  if (!model) {
    throw new RequestError(
      'model_not_found',
      `There is no such model here. Known are ${models.map(({ id }) => id).join(' and ')}.`,
      {
        param: 'model',
      },
    );
  }
  return sendAnswer(exchange, JSON.stringify(model));
}
