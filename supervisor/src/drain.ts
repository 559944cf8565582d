import { runPaths } from '@er-gateway/shared/config/run-dir';
import { FrameClient } from '@er-gateway/shared/frames/frame-client';
import type { DrainParams } from '@er-gateway/shared/scheduler-protocol';

/** Longest wait for the calls under way; with the grace after SIGTERM it must stay below PM2's kill_timeout of 60 s. */
const drainMs = 20_000;
/** A scheduler that is not there sends nothing either. */
const patienceMs = 500;

/**
 * Asks the scheduler to send a model server nothing more, and waits until its calls there have ended: vLLM answers 500 to
 * what it has not finished when it gets SIGTERM. Resolves to null, or to why the wait was given up.
 */
export async function drain(runDir: string, url: string): Promise<string | null> {
  const client = new FrameClient({
    path: runPaths.scheduler(runDir),
    serverName: 'scheduler',
    unavailable: 'no_available_upstream',
    patienceMs,
  });
  try {
    const params: DrainParams = { url };
    await client.call('drain', params, { timeoutMs: drainMs });
    return null;
  } catch {
    return client.isUp ? `its calls did not end within ${drainMs / 1000} s` : 'the scheduler does not answer';
  } finally {
    client.close();
  }
}
