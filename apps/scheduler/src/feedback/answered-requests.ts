import type { Role } from '@er-gateway/shared/config/schema';
import type { Job, ResultOf, ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import { LRUCache } from 'lru-cache';

/** Memory of an entry beside its scores: key, object, list links. */
const entryOverheadBytes = 400;
const scoreBytes = 8;

/** What is remembered of a request that was answered. */
export interface AnsweredRequest {
  model: Role;
  /** A score for each document; null when it was no ranking (embeddings, pairs of several queries). */
  scores: readonly number[] | null;
  /** Whether its relevant documents, and its rating, were told already: each counts once. */
  isJudged: boolean;
  isRated: boolean;
  /** It was not remembered, its caller has told its ranking: only the flags are kept. */
  isTold?: boolean;
}

/**
 * Requests that were answered lately, so that feedback can be held against what was answered. In memory, the oldest
 * dropped first; half of the bytes for each model, so that many embeddings do not push out rankings. No texts.
 */
export class AnsweredRequests {
  readonly #byModel: Record<Role, LRUCache<string, AnsweredRequest>> | null;

  /** `maxBytes` 0 remembers nothing; `keepSeconds`: the longest time that a request is remembered. */
  constructor(maxBytes: number, keepSeconds: number) {
    const create = () =>
      new LRUCache<string, AnsweredRequest>({
        maxSize: Math.ceil(maxBytes / 2),
        ttl: keepSeconds * 1000,
        sizeCalculation: ({ scores }) => entryOverheadBytes + (scores?.length ?? 0) * scoreBytes,
      });
    this.#byModel = maxBytes === 0 ? null : { embedding: create(), reranker: create() };
  }

  /** Remembers an answer; the latest one of a key's request id counts. */
  remember(job: Job, result: ResultOf<Job>, keyId: string, requestId: string): void {
    if (this.#byModel === null || (job.kind !== 'embed' && job.kind !== 'score')) return;
    const isRanking = job.kind === 'score' && job.queries.length === 1;
    this.add(keyId, requestId, {
      model: job.kind === 'embed' ? 'embedding' : 'reranker',
      scores: isRanking ? (result as ScoreResult).scores : null,
      isJudged: false,
      isRated: false,
    });
  }

  add(keyId: string, requestId: string, answered: AnsweredRequest): void {
    this.#byModel?.[answered.model].set(nameOf(keyId, requestId), answered);
  }

  /** The request that a key sent under this id; undefined when it is not remembered, or was another key's. */
  find(keyId: string, requestId: string): AnsweredRequest | undefined {
    const name = nameOf(keyId, requestId);
    return this.#byModel?.reranker.get(name) ?? this.#byModel?.embedding.get(name);
  }
}

const nameOf = (keyId: string, requestId: string) => `${keyId}\n${requestId}`;
