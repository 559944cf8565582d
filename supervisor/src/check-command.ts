import { ConfigError } from '@er-gateway/shared/errors/config-error';
import { outputOf } from './child.ts';
import { type PrepareOptions, prepareCommand } from './prepare-command.ts';
import { vllmVersionOf } from './vllm-version.ts';

/** Time for `vllm serve --help=all`, which comes after all its imports. */
const helpTimeoutMs = 100_000;

/** What `main.cjs <role> --check` prints as one line of JSON. */
export interface CheckedCommand {
  version: string | null;
  /** Why a start would fail; none when it would not, as far as can be told. */
  problems: string[];
}

/** Checks a model's command line against the installed vLLM: program, folder, GPU, and every flag by its own help. */
export async function checkCommand(options: PrepareOptions): Promise<CheckedCommand> {
  try {
    const { command, args } = await prepareCommand(options);
    const version = vllmVersionOf(command)?.join('.') ?? null;
    const help = await outputOf(command, ['serve', '--help=all'], helpTimeoutMs);
    return { version, problems: unknownFlags(args, help).map(flag => `it has no flag ${flag}`) };
  } catch (error) {
    if (error instanceof ConfigError) return { version: null, problems: [...error.problems] };
    return { version: null, problems: [(error as Error).message] };
  }
}

/** Flags of a command line that a help text does not list; none when the text lists none at all. */
export function unknownFlags(args: readonly string[], help: string): string[] {
  const known = new Set(help.match(/--[a-z][\w-]*/g));
  if (!known.has('--max-model-len')) return [];
  const flags = args
    .filter(arg => /^--[a-z]/i.test(arg))
    .map(arg => arg.replace(/=.*/s, '').replaceAll('_', '-'));
  return flags.filter(flag => !known.has(flag));
}
