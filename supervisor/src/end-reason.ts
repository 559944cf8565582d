import type { ChildExit } from './child.ts';

/** What Python's argparse exits with: a flag that this vLLM does not have. Nothing but another configuration helps. */
const badArgumentsCode = 2;

/**
 * Why a model server ended, in one line. Any end that nobody asked for is a failure: vLLM exits with status 0 when its
 * engine died.
 */
export function endReason(exit: ChildExit, explanation: string | null): string {
  if (exit.spawnError) return `the model server could not be started: ${exit.spawnError.message}`;
  const how = exit.signal ? `was killed by ${exit.signal}` : `ended by itself with exit code ${exit.code}`;
  return `the model server ${how}${explanation === null ? '' : `: ${explanation}`}`;
}

/** Whether a failure is one that another start cannot mend. */
export function isFinal(cause: ChildExit | string): boolean {
  return typeof cause !== 'string' && cause.code === badArgumentsCode;
}
