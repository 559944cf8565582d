import winston from 'winston';

export type Logger = winston.Logger;

/**
 * The log of one process: JSON-free lines `time level app message key=value` on stdout, which PM2 writes to the app's
 * file. Low volume only: PM2's daemon copies every line (access and audit lines have files of their own).
 */
export function createLogger(app: string, level: string): Logger {
  const { combine, timestamp, printf } = winston.format;
  const line = printf(({ timestamp: time, level: severity, message, ...fields }) => {
    const tail = Object.entries(fields).map(([name, value]) => ` ${name}=${textOf(value)}`);
    return `${time} ${severity} ${app}[${process.pid}] ${message}${tail.join('')}`;
  });
  return winston.createLogger({
    level,
    format: combine(timestamp(), line),
    transports: [new winston.transports.Console()],
  });
}

/** A value on one line: no caller can forge a log line with line breaks. */
function textOf(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(describeError(value));
  return JSON.stringify(value) ?? 'undefined';
}

/** An error with its stack and its causes, for the log. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by: ${describeError(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
