import { ConfigError } from '@er-gateway/shared/errors/config-error';
import { resultOf } from './child.ts';
import { explainingLine } from './log-lines.ts';
import { type PrepareOptions, prepareCommand } from './prepare-command.ts';
import { vllmVersionOf } from './vllm-version.ts';

/** Time for `vllm serve --help=all`, which comes after all its imports. */
const helpTimeoutMs = 100_000;

/** What `main.cjs <role> --check` prints as one line of JSON. */
export interface CheckedCommand {
  version: string | null;
  /** Why a start would fail; none when it would not, as far as can be told. */
  problems: string[];
  /** Why vLLM could not be asked for its flags; null when it was. */
  unasked: string | null;
}

/** Checks a model's command line against the installed vLLM: program, folder, GPU, and every flag by its own help. */
export async function checkCommand(options: PrepareOptions): Promise<CheckedCommand> {
  try {
    const { command, args } = await prepareCommand(options);
    const version = vllmVersionOf(command)?.join('.') ?? null;
    const { code, stdout, stderr } = await resultOf(command, ['serve', '--help=all'], helpTimeoutMs);
    const unknown = unknownFlags(args, stdout);
    if (code !== 0 || unknown === null) {
      const why =
        explainingLine(stderr.split('\n')) ?? (code === 0 ? 'it lists no flags' : `exit code ${code}`);
      return { version, problems: [], unasked: why };
    }
    return { version, problems: unknown.map(flag => `it has no flag ${flag}`), unasked: null };
  } catch (error) {
    const problems = error instanceof ConfigError ? [...error.problems] : [(error as Error).message];
    return { version: null, problems, unasked: null };
  }
}

/** Flags of a command line that a help text does not list; null when the text is no help of `vllm serve`. */
export function unknownFlags(args: readonly string[], help: string): string[] | null {
  const known = new Set(help.match(/--[a-z][\w-]*/g));
  if (!known.has('--max-model-len')) return null;
  const flags = args
    .filter(arg => /^--[a-z]/i.test(arg))
    .map(arg => arg.replace(/=.*/s, ''))
    // `--hf-overrides.key value` sets one key of a flag that takes JSON.
    .map(flag => flag.replace(/\..*/s, '').replaceAll('_', '-'));
  return flags.filter(flag => !known.has(flag));
}
