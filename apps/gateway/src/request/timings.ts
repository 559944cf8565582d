import type { Stage } from '@er-gateway/shared/metrics/definitions';

/** One stage of a request, or a part of one that was gone on with later: milliseconds since the request arrived. */
export interface StageSpan {
  stage: Stage;
  start: number;
  end: number;
}

/**
 * How long each stage of one request took, in milliseconds. One value feeds the `Server-Timing` header, the histograms,
 * the traces and the audit line, so they cannot disagree.
 */
export class RequestTimings {
  readonly startedAt = performance.now();
  /** In the order in which they were. */
  readonly spans: StageSpan[] = [];
  /** The whole time of each stage. */
  readonly byStage = new Map<Stage, number>();
  #underWay: Stage = 'write';
  #since = 0;

  /** Names the stage that began when the last one ended; without a name it is `write`. A failure is booked under it. */
  enter(stage: Stage): void {
    this.#underWay = stage;
  }

  /** Ends the stage under way. */
  end(): void {
    this.#add(this.#underWay, this.total());
    this.#underWay = 'write';
  }

  /** Splits the time since the last stage between the queue and the model, as the scheduler measured them. */
  endUpstream(upstreamMs: number): void {
    const now = this.total();
    this.#add('queue', now - Math.min(upstreamMs, now - this.#since));
    this.enter('upstream');
    this.end();
  }

  /** The request has failed: ends the stage that it failed in. The error is still to be written. */
  fail(): void {
    if (this.#underWay !== 'write') this.end();
  }

  /** Milliseconds since the request arrived. */
  total(): number {
    return performance.now() - this.startedAt;
  }

  /** The value of `Server-Timing` (https://www.w3.org/TR/server-timing/). */
  toHeader(): string {
    let header = '';
    for (const [stage, milliseconds] of this.byStage) header += `${stage};dur=${milliseconds.toFixed(2)}, `;
    return `${header}total;dur=${this.total().toFixed(2)}`;
  }

  #add(stage: Stage, end: number): void {
    this.spans.push({ stage, start: this.#since, end });
    this.byStage.set(stage, (this.byStage.get(stage) ?? 0) + end - this.#since);
    this.#since = end;
  }
}
