import type { Role } from '@er-gateway/shared/config/schema';
import type { KeyFacts } from '@er-gateway/shared/metrics/scheduler-metrics';
import type { Job } from '@er-gateway/shared/scheduler-protocol';
import type { KeyLabels } from './key-labels.ts';

/** What the models have answered to each key since the start. */
export class KeyUsage {
  readonly #labels: KeyLabels;
  readonly #rows: Record<Role, Map<string, KeyFacts>> = { embedding: new Map(), reranker: new Map() };

  constructor(labels: KeyLabels) {
    this.#labels = labels;
  }

  /** Counts a job that was answered. */
  add(job: Job, keyId: string, tokens: number): void {
    if (job.kind !== 'embed' && job.kind !== 'score') return;
    const model: Role = job.kind === 'embed' ? 'embedding' : 'reranker';
    const key = this.#labels.of(keyId);
    let row = this.#rows[model].get(key);
    if (!row) {
      row = { model, key, requests: 0, inputs: 0, tokens: 0 };
      this.#rows[model].set(key, row);
    }
    row.requests++;
    row.inputs += job.kind === 'embed' ? job.inputs.length : job.documents.length;
    row.tokens += tokens;
  }

  rows(): KeyFacts[] {
    return [...this.#rows.embedding.values(), ...this.#rows.reranker.values()];
  }
}
