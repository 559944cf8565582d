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
import { ServedTokenizer } from './models/served-tokenizer.ts';
import { ServerEnding } from './models/server-ending.ts';
import { rerankPromptText } from './tokenize/reranker-prompt.ts';
import { embeddingCanary, rerankerCanary } from './upstream/canary.ts';
import { type ProcessNote, UpstreamPool } from './upstream/upstream-pool.ts';
import { eitherWire } from './wire/either-wire.ts';
import { textEmbedWire, textScoreWire } from './wire/text-wires.ts';
import { tokenEmbedWire, tokenScoreWire } from './wire/token-wires.ts';

/** One of the two models as the scheduler serves it. */
export interface ServedModel {
  lane: ModelLane;
  /** null: its server tokenizes (the built-in engine, or a server whose model folder is not here). */
  readonly tokenizer: ModelTokenizer | null;
  /** What its server's tokenizer ends each text with; null when it does not tell. */
  endingOfServer: (signal: AbortSignal) => Promise<number[] | null>;
  /** Who counts tokens, and why it is not us, for people. */
  readonly tokenizes: string;
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
  const tokenizer = new ServedTokenizer(model, logger);
  await tokenizer.look();
  const isEmbedding = model.role === 'embedding';
  const hasTokenizer = () => tokenizer.current !== null;
  const wire = isEmbedding
    ? eitherWire({ tokens: tokenEmbedWire, texts: textEmbedWire }, hasTokenizer)
    : eitherWire({ tokens: tokenScoreWire, texts: textScoreWire }, hasTokenizer);
  const canaryInputs = async (): Promise<PreparedInput[]> => {
    // A server that comes up may have a folder that was not here before.
    await tokenizer.look();
    const work = { signal: new AbortController().signal, keyId: 'canary' };
    const preparation = { tokenizer: tokenizer.current, maxTokens: model.max_model_len, work };
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
  const ending = new ServerEnding(() => pool);
  const pool: UpstreamPool = new UpstreamPool({
    model,
    windowMs: config.batch.window_ms,
    canary: isEmbedding
      ? embeddingCanary(canaryOptions)
      : rerankerCanary({
          ...canaryOptions,
          isTemplatedThere: () => !hasTokenizer(),
          prompts: canaryTexts.map(text => rerankPromptText(canaryQuery, text)),
          hasRealWeights: () => hasTokenizer() && hasRealWeights(model.path),
        }),
    describeProcess,
    isOnTrial,
    onChange: () => {
      revision.refresh();
      void tokenizer.look();
      ending.forget();
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
    countsTokens: () => hasTokenizer() || pool.identity().engine.startsWith('builtin'),
    field: isEmbedding ? 'input' : 'documents',
  });
  return {
    lane,
    get tokenizer() {
      return tokenizer.current;
    },
    endingOfServer: signal => ending.of(signal),
    get tokenizes() {
      if (hasTokenizer()) return 'the scheduler';
      return tokenizer.absence === null ? 'the model server' : `the model server: ${tokenizer.absence}`;
    },
    close: async () => {
      await lane.close();
      await tokenizer.close();
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
