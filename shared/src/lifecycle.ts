import { type EffectiveConfig, loadConfig } from './config/effective-config.ts';
import { ensureRunDir } from './config/run-dir.ts';
import { ConfigError, configExitCode } from './errors/config-error.ts';
import { createLogger, describeError, type Logger } from './logger.ts';

/** Exit status after an error that nobody caught (EX_SOFTWARE of sysexits.h). PM2 starts the process again. */
const crashExitCode = 70;

/** What a process's main function gets. */
export interface ProcessContext {
  config: EffectiveConfig;
  logger: Logger;
  /** Number of this process among those of its app, from 0; a reload runs two of one number for a while. */
  instance: number;
  /** Registers what must end before the process does; run last first, on SIGINT, SIGTERM or loss of the PM2 daemon. */
  onStop: (close: () => unknown) => void;
  /** Ends this process as a signal would (closers, then the log), with this exit status. */
  stop: (why: string, exitCode: number) => Promise<void>;
}

/**
 * The life of one of our processes: loads the configuration, runs `start`, stops on signals. A wrong configuration ends
 * it with status 78, any error that nobody caught with 70; both leave one clear line in the log.
 */
export async function runProcess(
  app: string,
  start: (context: ProcessContext) => Promise<void> | void,
): Promise<void> {
  const closers: (() => unknown)[] = [];
  let logger = createLogger(app, 'info');
  let isStopping = false;

  const stop = async (why: string, exitCode: number) => {
    if (isStopping) return;
    isStopping = true;
    logger[exitCode === 0 ? 'info' : 'error'](`stopping: ${why}`);
    for (const close of closers.reverse()) {
      try {
        await close();
      } catch (error) {
        logger.error('while stopping', { error });
      }
    }
    await flushed(logger);
    process.exit(exitCode);
  };
  const crash = (what: string, error: unknown) => {
    const isConfig = error instanceof ConfigError;
    // On stderr and synchronously: winston's buffer would be lost.
    console.error(
      `${app}[${process.pid}] ${isConfig ? `cannot start:\n${error.message}` : `${what}: ${describeError(error)}`}`,
    );
    process.exitCode = isConfig ? configExitCode : crashExitCode;
    if (isConfig) void stop('the configuration is wrong', configExitCode);
    else process.exit(crashExitCode);
  };

  // PM2 adds a listener of its own that swallows rejections in cluster mode; ours ends the process (pm2 #5409).
  process.on('unhandledRejection', error => crash('unhandled rejection', error));
  process.on('uncaughtException', error => crash('uncaught exception', error));
  // The PM2 daemon holds the other end: when it is killed, the lines of our own stopping must not end us before it is done.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  process.once('SIGINT', () => void stop('SIGINT', 0));
  process.once('SIGTERM', () => void stop('SIGTERM', 0));
  process.once('disconnect', () => void stop('the PM2 daemon is gone', 0));

  try {
    const config = loadConfig(process.cwd());
    logger.close();
    logger = createLogger(app, config.logs.level);
    ensureRunDir(config.run_dir);
    await start({
      config,
      logger,
      instance: Number(process.env.NODE_APP_INSTANCE ?? 0),
      onStop: close => closers.push(close),
      stop,
    });
  } catch (error) {
    crash('cannot start', error);
  }
}

/** Waits until the lines logged so far are written, a second at most. */
function flushed(logger: Logger): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, 1000);
    logger.once('finish', () => {
      clearTimeout(timer);
      setImmediate(resolve);
    });
    logger.end();
  });
}
