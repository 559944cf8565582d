import type { Logger } from '@er-gateway/shared/logger';

/** Writes something that a model can do without: a full or read-only disk must not take it down. */
export function attempt(logger: Logger, what: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    logger.warn(`${what} cannot be written: ${(error as Error).message}`);
  }
}
