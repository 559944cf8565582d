/** What every job gets beside itself. */
export interface JobContext {
  requestId: string;
  /** Aborts when the caller hangs up or its deadline passes. */
  signal: AbortSignal;
  /** Runs the upstream part of a job and says how long the job waited before it and how long it took, in milliseconds. */
  timed: <T>(work: () => Promise<T>) => Promise<{ result: T; queueMs: number; upstreamMs: number }>;
}

/** The context of a job that arrives now. */
export function createJobContext(requestId: string, signal: AbortSignal): JobContext {
  const arrivedAt = performance.now();
  return {
    requestId,
    signal,
    timed: async work => {
      const startedAt = performance.now();
      const result = await work();
      return { result, queueMs: startedAt - arrivedAt, upstreamMs: performance.now() - startedAt };
    },
  };
}
