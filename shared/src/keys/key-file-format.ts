import { ConfigError } from '../errors/config-error.ts';
import type { KeyRecord } from '../state/store.ts';
import { hashKey, keyFormProblem } from './hash-key.ts';
import { jsonErrorPosition } from './json-error-position.ts';
import { type KeyGrants, keyGrantsSchema } from './key-grants.ts';

/** The keys of a key file, by hash, and what was wrong with entries that were left out or read with a guess. */
export interface ParsedKeys {
  records: ReadonlyMap<string, KeyRecord>;
  /** One line for each problem: where it is and why; never a key. */
  problems: readonly string[];
}

interface Entry {
  where: string;
  key: unknown;
  settings: Record<string, unknown>;
}

/**
 * Reads the text of a key file, which people edit by hand: `{"keys": […]}`, `{"api_keys": […]}` or a bare list, of
 * strings or of objects with `key` (or `key_sha256`, its SHA-256 in hex); or an object that maps keys to settings. Unknown members are ignored. Throws
 * ConfigError that names `file` and the position when it is none of these.
 */
export function parseKeyFile(text: string, file: string): ParsedKeys {
  const records = new Map<string, KeyRecord>();
  const problems: string[] = [];
  const owners = new Map<string, string>();
  for (const { where, key, settings } of entriesOf(parseJson(text, file), file)) {
    const isHashed = key === undefined && settings.key_sha256 !== undefined;
    const problem = isHashed ? hashFormProblem(settings.key_sha256) : keyFormProblem(key);
    if (problem !== null) {
      problems.push(`${where}: left out, ${problem}`);
      continue;
    }
    const hash = isHashed ? String(settings.key_sha256) : hashKey(String(key));
    const other = owners.get(hash);
    if (other) {
      problems.push(`${where}: left out, it is the same key as ${other}`);
      continue;
    }
    const role = settings.role ?? 'user';
    if (role !== 'user' && role !== 'admin') {
      problems.push(`${where}: its role is neither "user" nor "admin"; taken as "user"`);
    }
    const id = hash.slice(0, 16);
    const isNamed = typeof settings.name === 'string' && settings.name !== '';
    const isNameGood = isNamed && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(String(settings.name));
    if (isNamed && !isNameGood)
      problems.push(`${where}: its name has control characters or line breaks in it; left out`);
    const name = isNameGood ? String(settings.name) : id;
    owners.set(hash, where);
    const grants = grantsOf(settings, problem => problems.push(`${where}: ${problem}`));
    records.set(hash, { hash, id, name, role: role === 'admin' ? 'admin' : 'user', ...grants });
  }
  return { records, problems };
}

/**
 * What the entry grants. A mistake in it takes the key's use away until it is mended, and nobody else's: without the
 * restriction that was meant the key could do more than it should.
 */
function grantsOf(settings: Record<string, unknown>, report: (problem: string) => void): KeyGrants {
  const written = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
  const parsed = keyGrantsSchema.safeParse(written);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  report(`${first?.path.join('.')}: ${first?.message}; the key is refused until this is right`);
  return { expires_at: new Date(0).toISOString() };
}

const hashFormProblem = (hash: unknown) =>
  typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash) ? null : 'its key_sha256 is no SHA-256 in hex';

function parseJson(text: string, file: string): unknown {
  const content = text.replace(/^\uFEFF/, '');
  if (content.trim() === '') {
    throw new ConfigError([`${file}: is empty; delete it to have a new one made, or write {"keys": []}`]);
  }
  try {
    return JSON.parse(content);
  } catch {
    throw new ConfigError([`${file}: is not valid JSON at ${jsonErrorPosition(content)}`]);
  }
}

function entriesOf(root: unknown, file: string): Entry[] {
  if (Array.isArray(root)) return fromList(root, '');
  if (isObject(root)) {
    for (const name of ['keys', 'api_keys']) {
      const list = root[name];
      if (Array.isArray(list)) return fromList(list, name);
      if (isObject(list)) return fromMap(list, name);
    }
    const members = Object.values(root);
    if (members.length === 0 || members.some(isObject)) return fromMap(root, '');
  }
  throw new ConfigError([
    `${file}: line 1: must hold {"keys": [{"key": "er-…", "name": "…", "role": "user"}]}, a list of keys, or an object of keys`,
  ]);
}

function fromList(list: unknown[], name: string): Entry[] {
  return list.map((item, index) => ({
    where: `${name}[${index}]`,
    key: isObject(item) ? item.key : item,
    settings: isObject(item) ? item : {},
  }));
}

/** Members that are no settings object are no keys: notes, a version. */
function fromMap(map: Record<string, unknown>, name: string): Entry[] {
  return Object.entries(map).flatMap(([key, settings], index) =>
    isObject(settings) ? [{ where: `${name || 'the file'}, member ${index + 1}`, key, settings }] : [],
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The text of the first key of role admin in a key file's text; null when there is none. */
export function adminKeyOf(text: string, file: string): string | null {
  const entry = entriesOf(parseJson(text, file), file).find(({ settings }) => settings.role === 'admin');
  return typeof entry?.key === 'string' ? entry.key : null;
}
