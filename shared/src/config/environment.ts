import { z } from 'zod';
import { configSchema } from './schema.ts';

/** Variables of ours that are not settings. */
const reserved = new Set(['ER_CONFIG', 'ER_EFFECTIVE_CONFIG']);

/** One setting: where it stands in the tree, its environment name and its schema. */
export interface SettingLeaf {
  path: string[];
  variable: string;
  schema: z.ZodType;
}

/** Every setting of the schema, in its order. `limits.requests_per_minute` is `ER_LIMITS_REQUESTS_PER_MINUTE`. */
export function settingLeaves(schema: z.ZodType = configSchema, path: string[] = []): SettingLeaf[] {
  const inner = unwrap(schema);
  if (!(inner instanceof z.ZodObject)) {
    return [{ path, variable: `ER_${path.join('_').toUpperCase()}`, schema }];
  }
  return Object.entries(inner.shape).flatMap(([name, child]) =>
    settingLeaves(child as z.ZodType, [...path, name]),
  );
}

/**
 * Settings found in the environment, as a tree to lay over the file's, and a problem for each `ER_` name that is no
 * setting. An empty value or `null` means null; lists are JSON or separated by commas.
 */
export function settingsFromEnvironment(environment: NodeJS.ProcessEnv): {
  settings: Record<string, unknown>;
  problems: string[];
} {
  const settings: Record<string, unknown> = {};
  const leaves = new Map(settingLeaves().map(leaf => [leaf.variable, leaf]));
  const problems: string[] = [];
  if (environment.REDIS_URL) assign(settings, ['redis', 'url'], environment.REDIS_URL);
  for (const [name, text] of Object.entries(environment)) {
    // ER_TEST_* are switches of the test suites.
    if (!name.startsWith('ER_') || name.startsWith('ER_TEST_') || reserved.has(name) || text === undefined)
      continue;
    const leaf = leaves.get(name);
    if (!leaf) problems.push(`${name}: no such setting (see docs/configuration.md for the names)`);
    else assign(settings, leaf.path, valueFromText(text, unwrap(leaf.schema)));
  }
  return { settings, problems };
}

/** The text as the type that the schema wants; left as text when it does not look like it, so that the schema says why. */
function valueFromText(text: string, schema: z.ZodType): unknown {
  if (schema instanceof z.ZodArray) {
    if (text.trim() === '') return [];
    if (!text.trim().startsWith('[')) return text.split(',').map(item => item.trim());
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  if (text === '' || text === 'null') return null;
  if (schema instanceof z.ZodNumber)
    return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
  return text;
}

function unwrap(schema: z.ZodType): z.ZodType {
  let inner: z.ZodType = schema;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodNullable) {
    inner = inner.unwrap() as z.ZodType;
  }
  return inner;
}

function assign(tree: Record<string, unknown>, path: string[], value: unknown): void {
  const last = path.at(-1);
  if (last === undefined) return;
  let node = tree;
  for (const name of path.slice(0, -1)) {
    node[name] ??= {};
    node = node[name] as Record<string, unknown>;
  }
  node[last] = value;
}
