import type { Engine } from './config/effective-config.ts';
import type { Role } from './config/schema.ts';

/**
 * What gateway workers ask the scheduler, over the socket `scheduler.sock`: method `run` with a RunParams, answered with
 * the Result of the job's kind; pushes of topic `models` with a ModelsStatus on connecting and on every change.
 */
export interface RunParams<AnyJob extends Job = Job> {
  job: AnyJob;
  requestId: string;
  /** Whose turn it is: fairness is between keys. */
  keyId: string;
  priority: 'interactive' | 'bulk';
  /** The key's part of a busy model, against the 1 of others. */
  weight?: number;
  /** Part of the cap on requests in flight that the key may take up. */
  concurrencyShare?: number;
  /** Neither look into the cache nor fill it (`Cache-Control: no-store`). */
  noStore: boolean;
  /** When the caller stops waiting, Unix time in milliseconds. */
  deadlineAt: number;
  /** For the model server; absent when traces are off. */
  trace?: TraceHeaders;
}

/** Where a request is in a trace, as headers for those that it is passed on to (https://www.w3.org/TR/trace-context/). */
export interface TraceHeaders {
  traceparent: string;
  /** What the tracers before this one have added; absent when there is nothing. */
  tracestate?: string;
}

/**
 * Method `drain`: send this model server nothing more, until its supervisor calls it ready again. Answered when its calls
 * under way have ended; at once for a server that the scheduler does not know. Undone when the caller leaves before.
 */
export interface DrainParams {
  url: string;
}

/**
 * Method `feedback`: what a caller thinks of an answer to its key. Answered with a FeedbackResult; RequestError
 * `not_found` when the request is not remembered and no ranking is sent. Safe to repeat: each request counts once.
 */
export interface FeedbackParams {
  keyId: string;
  requestId: string;
  /** Indexes of the documents that were relevant; null when nothing is said of them. */
  relevant: number[] | null;
  /** 1 (bad) to 5 (good); null when it is not rated. */
  rating: number | null;
  /** Indexes of all documents as they were answered, the best first; only used when the request is not remembered. */
  ranking: number[] | null;
}

export interface FeedbackResult {
  model: Role;
  /** null when no relevant documents were told. */
  quality: RankingQuality | null;
  /** Whether anything of it was new. */
  isCounted: boolean;
}

/** How good one ranking was, each 0 to 1. */
export interface RankingQuality {
  reciprocalRank: number;
  ndcgAt10: number;
  precisionAt1: number;
}

/** Work for one model, in no client's dialect. Inputs are texts, or token ids as the caller gave them. */
export type Job = EmbedJob | ScoreJob | TokenizeJob | DetokenizeJob;

export interface EmbedJob {
  kind: 'embed';
  inputs: (string | number[])[];
  /** What the caller calls its inputs, for errors: `input`, `texts`. */
  field: string;
  /** Length of each vector, cut and normalised again; null is the model's own. */
  dimensions: number | null;
  /** The texts are queries, which get an instruction in front (null is the model card's); null: they go as they are. */
  query: { instruction: string | null } | null;
  /** What becomes of inputs that are too long; null refuses them. */
  truncation: Truncation | null;
  /** End each input with the model's own last token, as its authors do. */
  addSpecialTokens: boolean;
}

/** Scores of pairs: `documents[i]` against `queries[i]`, or against the only query when there is one. */
export interface ScoreJob {
  kind: 'score';
  queries: string[];
  documents: string[];
  /** What the caller calls its documents, for errors: `documents`, `texts`. */
  field: string;
  /** What the reranker is told to judge by; null is the model card's default. */
  instruction: string | null;
  /** What becomes of pairs that are too long: their documents are cut; null refuses them. */
  truncation: Truncation | null;
  /** Tokens that each query and document is cut to before the template is filled; null is all of them. */
  maxTokensPerQuery: number | null;
  maxTokensPerDocument: number | null;
}

/** How an input that is too long is cut. Instruction, template and last token always stay. */
export interface Truncation {
  /** Most tokens of an input, special and template tokens included; null is the model's length. */
  maxTokens: number | null;
  /** Which end of the text stays. */
  keep: 'start' | 'end';
}

export interface TokenizeJob {
  kind: 'tokenize';
  role: Role;
  prompt: string;
  addSpecialTokens: boolean;
  /** Tell the tokens as text too. */
  returnTokenStrs: boolean;
}

export interface DetokenizeJob {
  kind: 'detokenize';
  role: Role;
  tokens: number[];
}

/** What every result says of how it came about. */
export interface ResultBase {
  /** The model that answered, by its real name. */
  model: string;
  /** Value of `x-er-engine`. */
  engine: string;
  /** Tokens of the whole job, special and template tokens included. */
  promptTokens: number;
  /** Items answered from the cache. */
  cacheHits: number;
  /** `host:port` of the model servers that worked on it; none when all of it was in the cache. */
  upstreams: string[];
  /** Indexes of the inputs that were cut. */
  truncated: number[];
  /** Time between arrival and dispatch, and from then to the answer, in milliseconds. */
  queueMs: number;
  upstreamMs: number;
}

export interface EmbedResult extends ResultBase {
  dimensions: number;
  /** float32, little endian, `inputs.length * dimensions` of them in the order of the inputs. */
  vectors: Uint8Array;
}

export interface ScoreResult extends ResultBase {
  /** One for each document, in their order. */
  scores: number[];
}

export interface TokenizeResult extends ResultBase {
  tokens: number[];
  /** null unless asked for. */
  tokenStrs: string[] | null;
  maxModelLen: number;
}

export interface DetokenizeResult extends ResultBase {
  prompt: string;
}

export type ResultOf<AnyJob extends Job> = AnyJob extends EmbedJob
  ? EmbedResult
  : AnyJob extends ScoreJob
    ? ScoreResult
    : AnyJob extends TokenizeJob
      ? TokenizeResult
      : DetokenizeResult;

/** What is known of one model now. */
export interface ModelStatus {
  role: Role;
  servedName: string;
  engine: Engine;
  /** The model that really answers, as its server names it; null until it was seen. */
  modelName: string | null;
  /** Value of `x-er-engine`: `vllm`, or `builtin` with the name of its model. */
  engineLabel: string;
  isReady: boolean;
  /** Why it is not ready, in one line; null when it is. */
  reason: string | null;
  /** Since when that is so, and when it is expected to be ready, Unix time in milliseconds; null when it is, or nobody knows. */
  unreadySince: number | null;
  expectedReadyAt: number | null;
  /** Longest input in tokens; null until it was seen. */
  maxModelLen: number | null;
  upstreams: UpstreamStatus[];
}

/** One model server now. */
export interface UpstreamStatus {
  url: string;
  isReady: boolean;
  reason: string | null;
  /** It failed too often, and waits for a trial. */
  isBreakerOpen: boolean;
  /** Calls under way, and the tokens in them. */
  inFlight: number;
  outstandingTokens: number;
  /** A call's milliseconds of late. */
  latencyMs: number;
  /** Inputs answered a second, and the median of a call's milliseconds (null without calls), in the last minute. */
  inputsPerSecond: number;
  p50Ms: number | null;
}

export interface ModelsStatus {
  models: Record<Role, ModelStatus>;
  inFlight: number;
  concurrency: number;
}

/** Everything that the scheduler shows operators, on its control socket. */
export interface SchedulerInspection extends ModelsStatus {
  lanes: Record<Role, LaneStatus>;
  cache: { bytes: number; entries: number };
}

/** What waits for one model, and the batches that were made of it. */
export interface LaneStatus extends BatchReport {
  /** Who counts tokens: `the scheduler`, or `the model server` and why. */
  tokenizes: string;
  /** How long that which came first has waited, in milliseconds; 0 when nothing waits. */
  oldestWaitMs: number;
  /** What waits, by key and class. */
  queue: { keyId: string; priority: 'interactive' | 'bulk'; items: number; tokens: number }[];
}

/** What one model's batches were since the scheduler started. */
export interface BatchReport {
  /** Calls that one server may have under way now. */
  slots: number;
  /** Longest wait for a batch to fill now, in milliseconds: that of the server that waits longest. */
  windowMs: number;
  waitingItems: number;
  waitingTokens: number;
  calls: number;
  items: number;
  /** Mean items of a call since the start. */
  meanBatch: number;
  /** Tokens a second that this model gets done when it has enough to do; 0 until that was seen. */
  tokensPerSecond: number;
}
