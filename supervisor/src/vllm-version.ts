import { globSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ConfigError } from '@er-gateway/shared/errors/config-error';

/** Major, minor and patch of a release. */
export type VllmVersion = readonly [major: number, minor: number, patch: number];

/** Older ones lack `--hf-overrides` for rerankers, or answer in other forms. */
const oldest: VllmVersion = [0, 10, 0];

/** What became of a flag of ours that a release does not have yet. */
interface FlagChange {
  flag: string;
  /** The first release that has it. */
  since: VllmVersion;
  /** What is passed to older ones instead, from the flag's value; null refuses the start. */
  before: ((value: string) => string[]) | null;
}

/**
 * Flags of ours that not every vLLM from 0.10 on has. Sources: vllm-project/vllm #21470 (runner, convert), #21489
 * (kv-cache-memory-bytes), #30550 (the template for scores), #30011 (access log), #34730 (shutdown-timeout).
 */
const changes: readonly FlagChange[] = [
  { flag: '--runner', since: [0, 10, 1], before: () => [] },
  { flag: '--convert', since: [0, 10, 1], before: () => ['--task', 'embed'] },
  { flag: '--kv-cache-memory-bytes', since: [0, 10, 2], before: null },
  // Scores of texts were taken without a template before; the gateway sends token ids, in which the template is.
  { flag: '--chat-template', since: [0, 14, 0], before: () => [] },
  {
    flag: '--disable-access-log-for-endpoints',
    since: [0, 16, 0],
    before: () => ['--disable-uvicorn-access-log'],
  },
  // Calls under way have ended before the signal; what is lost is vLLM's own orderly end.
  { flag: '--shutdown-timeout', since: [0, 18, 0], before: () => [] },
];

/**
 * The release of the vLLM that a program belongs to, by the package's folder next to it: asking the program takes as long
 * as starting it. null when it is installed in another way; then it is taken for a new one.
 */
export function vllmVersionOf(program: string): VllmVersion | null {
  try {
    const prefix = dirname(dirname(realpathSync(program)));
    const pattern = join(prefix, 'lib', 'python3*', '{site,dist}-packages', 'vllm-*.dist-info');
    const names = globSync(pattern).map(path => basename(path));
    return parseVersion(names.find(name => /^vllm-\d/.test(name))?.slice('vllm-'.length) ?? '');
  } catch {
    return null;
  }
}

/** `0.10.2rc1+cu128` as numbers; null for what is no version. */
export function parseVersion(text: string): VllmVersion | null {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)] : null;
}

/**
 * Our arguments as this release takes them; those of the user (`extra_args`) go as they are. Throws ConfigError that names
 * the flag, or the version when it is too old.
 */
export function argumentsFor(version: VllmVersion | null, args: readonly (readonly string[])[]): string[] {
  if (version === null) return args.flat();
  if (isBefore(version, oldest)) {
    throw new ConfigError([
      `vllm.command: this is vLLM ${version.join('.')}, and ${oldest.join('.')} or newer is needed`,
    ]);
  }
  return args.flatMap(([flag = '', ...values]) => {
    const change = changes.find(known => known.flag === flag);
    if (!change || !isBefore(version, change.since)) return [flag, ...values];
    if (change.before === null) {
      throw new ConfigError([
        `vLLM ${version.join('.')} has no ${flag} (it came with ${change.since.join('.')}): leave the setting out, or install a newer vLLM`,
      ]);
    }
    return change.before(values[0] ?? '');
  });
}

function isBefore(version: VllmVersion, other: VllmVersion): boolean {
  const different = version.findIndex((number, index) => number !== other[index]);
  return different >= 0 && (version[different] ?? 0) < (other[different] ?? 0);
}
