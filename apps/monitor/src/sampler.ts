import { setTimeout as delay } from 'node:timers/promises';

/** A reader waits this long at most for a value that is being made, in milliseconds; then it gets the one before. */
const usualWaitMs = 1000;

/** Reads a sampled value, waiting so many milliseconds at most. */
export type Sampler<T> = (maxWaitMs?: number) => Promise<T | null>;

/**
 * A value that is costly to read, read when somebody asks and the last one is older than `maxAgeMs`, never twice at a
 * time. A reading that hangs (nvidia-smi with a broken driver) holds nobody up: null, or the last value, is answered.
 */
export function createSampler<T>(read: () => Promise<T>, maxAgeMs: number): Sampler<T> {
  let latest: T | null = null;
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  const refresh = async () => {
    try {
      latest = await read();
    } catch {
      latest = null;
    }
    readAt = performance.now();
    reading = null;
  };
  return async (maxWaitMs = usualWaitMs) => {
    if (performance.now() - readAt > maxAgeMs) {
      reading ??= refresh();
      const cancel = new AbortController();
      await Promise.race([
        reading,
        delay(maxWaitMs, undefined, { signal: cancel.signal, ref: false }).catch(() => {}),
      ]);
      cancel.abort();
    }
    return latest;
  };
}
