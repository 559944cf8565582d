import { setImmediate } from 'node:timers/promises';

/** How long one piece of work may hold the event loop, in milliseconds; other callers wait meanwhile. */
const longestHoldMs = 5;

/** For long work on the main thread: await it between small steps, and the event loop gets its turn every few milliseconds. */
export function loopTurns(): () => Promise<void> {
  let heldSince = performance.now();
  return async () => {
    if (performance.now() - heldSince < longestHoldMs) return;
    await setImmediate();
    heldSince = performance.now();
  };
}
