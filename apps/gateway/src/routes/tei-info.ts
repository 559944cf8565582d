import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import type { ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import type { Exchange } from '../request/exchange.ts';
import { sendAnswer } from '../request/send-answer.ts';

/** TEI's `GET /info`, of the embedding model: what clients read before they cut and batch. */
export function sendTeiInfo(
  exchange: Exchange,
  { config, models }: { config: EffectiveConfig; models: ModelsStatus | null },
): Promise<void> {
  const { served_name: servedName, max_model_len: configured } = config.models.embedding;
  const status = models?.models.embedding;
  return sendAnswer(
    exchange,
    JSON.stringify({
      model_id: servedName,
      model_sha: null,
      model_dtype: 'bfloat16',
      model_type: { embedding: { pooling: 'last_token' } },
      max_concurrent_requests: config.limits.concurrency,
      max_input_length: status?.maxModelLen ?? configured,
      max_batch_tokens: config.batch.max_tokens,
      max_batch_requests: config.batch.max_items,
      max_client_batch_size: config.limits.inputs_per_request,
      auto_truncate: false,
      tokenization_workers: 1,
      version: 'er-gateway',
      sha: null,
      docker_label: null,
    }),
  );
}
