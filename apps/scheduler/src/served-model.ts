import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EffectiveConfig, EffectiveModel } from '@er-gateway/shared/config/effective-config';
import type { Logger } from '@er-gateway/shared/logger';
import type { SchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import type { EmbedJob, ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import type { ItemCache } from './cache/item-cache.ts';
import { ServedRevision } from './cache/served-revision.ts';
import { ModelLane, type PreparedInput } from './model-lane.ts';
import { prepareEmbedding } from './models/embedding-model.ts';
import { hasRealWeights, modelRevision } from './models/model-revision.ts';
import type { ModelTokenizer } from './models/model-tokenizer.ts';
import { preparePairs } from './models/reranker-model.ts';
import { openModelTokenizer } from './tokenize/model-tokenizer.ts';
import { embeddingCanary, rerankerCanary } from './upstream/canary.ts';
import { type ProcessNote, UpstreamPool } from './upstream/upstream-pool.ts';
import { textEmbedWire, textScoreWire } from './wire/text-wires.ts';
import { tokenEmbedWire, tokenScoreWire } from './wire/token-wires.ts';

/** One of the two models as the scheduler serves it. */
export interface ServedModel {
  lane: ModelLane;
  /** null: its server tokenizes (the built-in engine, or a server whose model folder is not here). */
  tokenizer: ModelTokenizer | null;
  close: () => Promise<void>;
}

export interface ServedModelOptions {
  config: EffectiveConfig;
  model: EffectiveModel;
  cache: ItemCache;
  metrics: SchedulerMetrics;
  logger: Logger;
  /** What the supervisors say of the model while it cannot answer; null when they say nothing. */
  describeProcess: () => ProcessNote | null;
  /** Whether the supervisor of the server at this URL has yet to find that it works. */
  isOnTrial: (url: string) => boolean;
  /** A server came or went. */
  onChange: () => void;
}

/** Opens a model's way: tokenizer, servers, queue. Waits for the tokenizer only. */
export async function openServedModel(options: ServedModelOptions): Promise<ServedModel> {
  const { config, model, cache, metrics, logger, describeProcess, isOnTrial, onChange } = options;
  const tokenizer = await openTokenizerOf(model, logger);
  const isEmbedding = model.role === 'embedding';
  const wire = isEmbedding
    ? tokenizer
      ? tokenEmbedWire
      : textEmbedWire
    : tokenizer
      ? tokenScoreWire
      : textScoreWire;
  const canaryInputs = async (): Promise<PreparedInput[]> => {
    const preparation = { tokenizer, maxTokens: model.max_model_len, signal: new AbortController().signal };
    const { inputs } = isEmbedding
      ? await prepareEmbedding(embeddingCanaryJob, preparation)
      : await preparePairs(rerankerCanaryJob, preparation);
    return inputs;
  };
  const revision = new ServedRevision(() => modelRevision(model.path));
  const canaryOptions = {
    wire: () => wire,
    inputs: canaryInputs,
    onNumbers: (numbers: Float32Array) => revision.answered(numbers),
  };
  const budget = { items: config.batch.max_items, tokens: config.batch.max_tokens };
  const labels = { model: model.role };
  const series = {
    duration: metrics.upstreamDuration.series(labels),
    items: metrics.batchItems.series(labels),
    fill: metrics.batchFill.series(labels),
  };
  const pool = new UpstreamPool({
    model,
    windowMs: config.batch.window_ms,
    canary: isEmbedding
      ? embeddingCanary(canaryOptions)
      : rerankerCanary({
          ...canaryOptions,
          isTemplatedThere: tokenizer === null,
          hasRealWeights: () => tokenizer !== null && hasRealWeights(model.path),
        }),
    describeProcess,
    isOnTrial,
    onChange: () => {
      revision.refresh();
      lane.batcher.wake();
      onChange();
    },
  });
  const lane: ModelLane = new ModelLane({
    pool,
    batching: {
      wire,
      budget,
      slots: config.batch.slots,
      onCallEnd: ({ outcome, durationMs, items, tokens }) => {
        metrics.upstreamRequests.inc({ model: model.role, outcome });
        series.duration.observe(durationMs / 1000);
        series.items.observe(items);
        series.fill.observe(Math.min(1, Math.max(items / budget.items, tokens / budget.tokens)));
      },
    },
    cache,
    onCacheLookup: (hits, misses) => {
      metrics.cacheItems.inc({ model: model.role, result: 'hit' }, hits);
      metrics.cacheItems.inc({ model: model.role, result: 'miss' }, misses);
    },
    cacheScope: config.cache.scope,
    revision: () => `${pool.identity().model} ${revision.name}`,
    countsTokens: () => tokenizer !== null || pool.identity().engine.startsWith('builtin'),
    field: isEmbedding ? 'input' : 'documents',
  });
  return {
    lane,
    tokenizer,
    close: async () => {
      await lane.close();
      await tokenizer?.close();
    },
  };
}

/** One text that answers the query and one that does not. */
const canaryQuery = 'What is the capital of France?';
const canaryTexts = ['The capital of France is Paris.', 'Bananas are yellow fruits.'];

const embeddingCanaryJob: EmbedJob = {
  kind: 'embed',
  inputs: canaryTexts,
  field: 'input',
  dimensions: null,
  query: null,
  truncation: null,
  addSpecialTokens: true,
};
const rerankerCanaryJob: ScoreJob = {
  kind: 'score',
  queries: [canaryQuery],
  documents: canaryTexts,
  field: 'documents',
  instruction: null,
  truncation: null,
  maxTokensPerQuery: null,
  maxTokensPerDocument: null,
};

/** The model's own tokenizer, when its folder is here; a kind that we cannot read exactly is left to the server. */
async function openTokenizerOf(model: EffectiveModel, logger: Logger): Promise<ModelTokenizer | null> {
  const file = join(model.path, 'tokenizer.json');
  if (model.engine === 'builtin' || !existsSync(file)) return null;
  try {
    return await openModelTokenizer(file);
  } catch (error) {
    logger.warn(`${model.served_name}: its server tokenizes, since its tokenizer cannot be used here`, {
      error,
    });
    return null;
  }
}
