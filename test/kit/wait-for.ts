import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `condition` returns something truthy, and returns it. Fails after `timeoutMs` naming `what`. */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 50 } = {},
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  while (performance.now() < deadline) {
    try {
      const value = await condition();
      if (value) return value as Exclude<T, false | null | undefined>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await delay(intervalMs);
  }
  throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`, { cause: lastError });
}
