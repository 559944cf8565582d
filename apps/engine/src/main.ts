import { isMainThread } from 'node:worker_threads';
import { type EngineOptions, parseCommandLine } from './command-line.ts';
import { startEngine } from './engine.ts';

/** Exit status after a wrong command line, as vLLM's. */
const usageExitCode = 2;

async function main(): Promise<void> {
  let options: EngineOptions;
  try {
    options = parseCommandLine(process.argv.slice(2));
  } catch (error) {
    fail(error, usageExitCode);
  }
  // Until the engine listens there is nothing to finish, so a signal ends the process at once.
  let stop = async () => {};
  let isStopping = false;
  const onSignal = async () => {
    if (isStopping) process.exit(1);
    isStopping = true;
    await stop();
    process.exit(0);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    const engine = await startEngine(options, error => fail(error, 1));
    stop = engine.stop;
    console.log(
      `${options.servedName} on http://${options.host}:${engine.port}, in truth ${engine.modelName}`,
    );
    console.log('Application startup complete.');
  } catch (error) {
    fail(error, 1);
  }
}

function fail(error: unknown, exitCode: number): never {
  console.error(`ERROR: ${error instanceof Error ? error.message : error}`);
  process.exit(exitCode);
}

// The same file is the entry of the model's thread: a bundle is one file, and only argv[1] names it in either form.
if (isMainThread) void main();
else void import('./model/model-thread.ts').then(({ runModelThread }) => runModelThread());
