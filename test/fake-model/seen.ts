/** What a fake model server tells at `GET /__seen` about the calls that it got. */
export interface SeenReport {
  /** Calls of the model's routes, and the inputs (texts, token lists, pairs) and tokens in them. */
  requests: number;
  inputs: number;
  tokens: number;
  inFlight: number;
  maxInFlight: number;
  /** Calls whose client hung up before the answer. */
  cancelled: number;
  /** Connections opened so far. */
  connections: number;
  /** Calls by path. */
  paths: Record<string, number>;
  /** Inputs of each call, oldest first; the last 1000. */
  batches: number[];
  /** The last call. */
  last: { path: string; headers: Record<string, unknown>; body: unknown } | null;
}

const keptBatches = 1000;

/** Counts calls. */
export class Seen {
  #report: SeenReport = emptyReport();

  get report(): SeenReport {
    return this.#report;
  }

  /** Starts from zero; calls in flight stay counted. */
  reset(): void {
    const { inFlight, connections } = this.#report;
    this.#report = { ...emptyReport(), inFlight, maxInFlight: inFlight, connections };
  }

  connection(): void {
    this.#report.connections++;
  }

  begin(path: string, headers: Record<string, unknown>): void {
    this.#report.requests++;
    this.#report.inFlight++;
    this.#report.maxInFlight = Math.max(this.#report.maxInFlight, this.#report.inFlight);
    this.#report.paths[path] = (this.#report.paths[path] ?? 0) + 1;
    this.#report.last = { path, headers, body: null };
  }

  body(body: unknown): void {
    if (this.#report.last) this.#report.last.body = body;
  }

  inputs(tokenCounts: number[]): void {
    this.#report.inputs += tokenCounts.length;
    this.#report.tokens += tokenCounts.reduce((sum, tokens) => sum + tokens, 0);
    this.#report.batches.push(tokenCounts.length);
    if (this.#report.batches.length > keptBatches) this.#report.batches.shift();
  }

  end(isCancelled: boolean): void {
    this.#report.inFlight--;
    if (isCancelled) this.#report.cancelled++;
  }
}

const emptyReport = (): SeenReport => ({
  requests: 0,
  inputs: 0,
  tokens: 0,
  inFlight: 0,
  maxInFlight: 0,
  cancelled: 0,
  connections: 0,
  paths: {},
  batches: [],
  last: null,
});
