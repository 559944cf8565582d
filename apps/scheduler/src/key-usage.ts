import type { Role } from '@er-gateway/shared/config/schema';
import type { KeyFacts } from '@er-gateway/shared/metrics/scheduler-metrics';
import type { Job } from '@er-gateway/shared/scheduler-protocol';

/** Keys that are counted apart; the work of others is counted together, so that metrics stay bounded. */
const mostKeys = 1000;
const otherKeys = 'other';

/** What the models have answered to each key since the start. */
export class KeyUsage {
  readonly #rows: Record<Role, Map<string, KeyFacts>> = { embedding: new Map(), reranker: new Map() };

  /** Counts a job that was answered. */
  add(job: Job, keyId: string, tokens: number): void {
    if (job.kind !== 'embed' && job.kind !== 'score') return;
    const model: Role = job.kind === 'embed' ? 'embedding' : 'reranker';
    const row = this.#rowOf(model, keyId);
    row.requests++;
    row.inputs += job.kind === 'embed' ? job.inputs.length : job.documents.length;
    row.tokens += tokens;
  }

  rows(): KeyFacts[] {
    return [...this.#rows.embedding.values(), ...this.#rows.reranker.values()];
  }

  #rowOf(model: Role, keyId: string): KeyFacts {
    const rows = this.#rows[model];
    const known = rows.get(keyId);
    if (known) return known;
    const key = rows.size < mostKeys ? keyId : otherKeys;
    const row = rows.get(key) ?? { model, key, requests: 0, inputs: 0, tokens: 0 };
    rows.set(key, row);
    return row;
  }
}
