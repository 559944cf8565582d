import { type ChildProcess, fork } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FakeModelOptions } from './options.ts';
import { startServer } from './server.ts';

/**
 * The life of a model server's process, with vLLM's habits: a SIGTERM while it loads is lost; one after that ends it with
 * 0; so does the death of its engine; a SIGKILL leaves the engine process running.
 */
export async function runFakeModel(options: FakeModelOptions): Promise<void> {
  let isReady = false;
  let isEnding = false;
  let engineProcess: ChildProcess | undefined;
  let drain = () => {};

  const end = async (afterMs: number) => {
    if (isEnding) return;
    isEnding = true;
    drain();
    await delay(afterMs);
    engineProcess?.kill('SIGTERM');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (isReady && !options.ignoreSigterm) void end(options.shutdownMs);
    });
  }

  // vLLM binds before it loads, so a taken port shows at once.
  if (!options.uds) await claimPort(options);
  if (options.engineProcess) engineProcess = startEngineProcess();
  await delay(options.bootMs);
  try {
    const server = await startServer(options, () => void end(0));
    drain = server.drain;
    engineProcess?.once('exit', () => server.killEngine());
  } catch (error) {
    exitTaken(error as NodeJS.ErrnoException);
  }
  isReady = true;
  console.error('INFO:     Application startup complete.');
}

/** Fails when somebody listens there already. Node cannot hold a port without listening, so it is let go again. */
async function claimPort(options: FakeModelOptions): Promise<void> {
  await new Promise<void>(resolve => {
    const probe = createServer();
    probe.once('error', error => exitTaken(error as NodeJS.ErrnoException));
    probe.listen(options.port, options.host, () => probe.close(() => resolve()));
  });
}

function exitTaken(error: NodeJS.ErrnoException): never {
  console.error(error.code === 'EADDRINUSE' ? 'OSError: [Errno 98] Address already in use' : String(error));
  process.exit(1);
}

/** In the same process group, and without a channel, so that it notices nothing of its parent's end. */
function startEngineProcess(): ChildProcess {
  const child = fork(join(import.meta.dirname, 'engine-process.ts'), {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  child.disconnect();
  return child;
}
