import type { ChildExit } from './child.ts';

/**
 * Why a model server ended, in one line. Any end that nobody asked for is a failure: vLLM exits with status 0 when its
 * engine died.
 */
export function endReason(exit: ChildExit, explanation: string | null): string {
  if (exit.spawnError) return `the model server could not be started: ${exit.spawnError.message}`;
  const how = exit.signal ? `was killed by ${exit.signal}` : `ended by itself with exit code ${exit.code}`;
  return `the model server ${how}${explanation === null ? '' : `: ${explanation}`}`;
}
