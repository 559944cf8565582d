import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { EffectiveConfig, EffectiveModel } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import type { CommandContext } from '../command-context.ts';
import { startNode } from '../run-node.ts';
import { type Finding, finding } from './finding.ts';

/** vLLM's help comes after all its imports: a minute on a busy machine. */
const checkTimeoutMs = 120_000;

/**
 * The engine of each model, its files, and whether the installed vLLM takes our command line. `configFile` is that of the
 * running system.
 */
export async function modelFindings(
  context: CommandContext,
  config: EffectiveConfig,
  configFile: string | null,
): Promise<Finding[]> {
  const models = roles.map(role => config.models[role]);
  const engines = models.map(({ role, engine, engineReason }) =>
    finding(`engine of ${role}`, `${engine}: ${engineReason}`, null),
  );
  const own = models.filter(({ engine }) => engine === 'vllm');
  const files = own.flatMap(fileFindings);
  // One after the other: each takes a core for half a minute.
  const commands: Finding[] = [];
  for (const model of own) commands.push(await commandFinding(context, model, configFile));
  return [...engines, ...files, ...commands];
}

/** Whether a checkpoint's files are there and whole, as far as can be told without reading gigabytes. */
export function fileFindings({ role, path }: Pick<EffectiveModel, 'role' | 'path'>): Finding[] {
  const what = `files of ${role}`;
  const get = `download the model again: huggingface-cli download <repository> --local-dir ${path}`;
  if (!existsSync(path)) return [finding(what, `no folder ${path}`, get)];
  const missing = ['config.json', 'tokenizer.json', ...shardsOf(path)].filter(
    name => !existsSync(join(path, name)) || statSync(join(path, name)).size === 0,
  );
  if (missing.length > 0) return [finding(what, `missing or empty: ${missing.join(', ')}`, get)];
  const weights = readdirSync(path).filter(name => name.endsWith('.safetensors'));
  if (weights.length === 0) return [finding(what, 'no *.safetensors', get)];
  const whole = finding(what, `${path}: config, tokenizer, ${weights.length} file(s) of weights`, null);
  const partial = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.incomplete'),
  );
  if (partial.length > 0)
    return [whole, finding(`download of ${role}`, `not finished: ${partial.join(', ')}`, get)];
  return [whole, hashFinding(role, path, weights)];
}

/** The shards that the weights' index names; none when they are in one file. */
function shardsOf(path: string): string[] {
  try {
    const index = JSON.parse(readFileSync(join(path, 'model.safetensors.index.json'), 'utf8'));
    return [...new Set(Object.values(index.weight_map as Record<string, string>))];
  } catch {
    return [];
  }
}

/** Whether the downloader left the hashes with which the weights can be checked. */
function hashFinding(role: string, path: string, weights: readonly string[]): Finding {
  const records = join(path, '.cache', 'huggingface', 'download');
  const isKnown = weights.every(name => existsSync(join(records, `${name}.metadata`)));
  const fix = `compare sha256sum ${join(path, '*.safetensors')} with the model's page once`;
  return finding(
    `hashes of ${role}`,
    isKnown ? 'the download recorded them' : 'the download left none',
    isKnown ? null : fix,
    'warn',
  );
}

/** What the supervisor's own check of a command line prints (supervisor/src/check-command.ts). */
interface CheckedCommand {
  version: string | null;
  problems: string[];
  unasked: string | null;
}

const runHelp = 'run `vllm serve --help=all` (ER_VLLM_COMMAND) and mend what it says';

async function commandFinding(
  { root, environment }: CommandContext,
  { role }: EffectiveModel,
  configFile: string | null,
): Promise<Finding> {
  const what = `vLLM for ${role}`;
  const fix =
    'correct the setting, or install a vLLM from 0.10 on; npm run models -- logs shows its own words';
  // What runs is checked with the settings with which it runs.
  const settings = configFile === null ? environment : { ...environment, ER_EFFECTIVE_CONFIG: configFile };
  const check = startNode(root, [join('dist', 'supervisor', 'main.cjs'), role, '--check'], settings);
  const timer = setTimeout(() => void check.stop(), checkTimeoutMs);
  await check.ended;
  clearTimeout(timer);
  const line = check
    .output()
    .split('\n')
    .findLast(text => text.startsWith('{'));
  if (!line) return finding(what, `could not be asked: ${check.output().trim().slice(-300)}`, fix);
  const { version, problems, unasked } = JSON.parse(line) as CheckedCommand;
  if (problems.length > 0) return finding(what, problems.join('; '), fix);
  const release = version ?? 'unknown version';
  if (unasked === null) return finding(what, `${release}, takes every flag`, null);
  return finding(what, `${release}, could not be asked for its flags: ${unasked}`, runHelp, 'warn');
}
