import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { adminKeyOf, parseKeyFile } from '@er-gateway/shared/keys/key-file-format';
import type { KeyView } from '@er-gateway/shared/keys/key-grants';
import type { Command } from 'commander';
import { type CommandContext, CommandError } from './command-context.ts';
import { askGateway, gatewayUrl } from './gateway-request.ts';
import { momentOf, secondsOf } from './moment.ts';
import { runningSystem } from './running-system.ts';
import { table } from './table.ts';

/** Options of commands that set what a key may do, as commander gives them. */
interface GrantOptions {
  name?: string;
  role?: string;
  models?: string;
  requestsPerMinute?: string;
  inputsPerMinute?: string;
  tokensPerMinute?: string;
  concurrencyShare?: string;
  priority?: string;
  weight?: string;
  expires?: string;
  allow?: string;
}

type FreshKey = KeyView & { key: string };

/** `er keys …`: the same as `/admin/keys`, which does the work, with the key file's first admin key (or ER_API_KEY). */
export function addKeyCommands(program: Command, context: CommandContext): void {
  const keys = program.command('keys').description('API keys: make, list, change, rotate, revoke');
  const print = (text: string): void => void context.output.write(`${text}\n`);
  const asJson = (value: unknown): void => print(JSON.stringify(value, null, 2));

  withGrants(keys.command('create <name>').description('make a key; it is shown this once'))
    .option('--json', 'for programs')
    .action(async (name: string, options: GrantOptions & { json?: boolean }) => {
      const api = await openKeyApi(context);
      const made = await api<FreshKey>('POST', '', { name, ...grantsOf(options) });
      if (options.json) return asJson(made);
      print(`${made.key}\n\nThis is the only time that it is shown. Id ${made.id}, name ${made.name}.`);
    });
  keys
    .command('list', { isDefault: true })
    .description('all keys, those of the key file too')
    .option('--json', 'for programs')
    .action(async ({ json }: { json?: boolean }) => {
      const { keys: all } = await (await openKeyApi(context))<{ keys: KeyView[] }>('GET', '');
      if (json) return asJson(all);
      const rows = all.map(key => [key.id, key.name, key.role, key.source, stateOf(key), grantsText(key)]);
      print(table(['id', 'name', 'role', 'from', 'state', 'grants'], rows));
    });
  keys
    .command('show <key>')
    .description('one key, by id or name')
    .action(async (wanted: string) => {
      const api = await openKeyApi(context);
      asJson(await findKey(api, wanted));
    });
  withGrants(
    keys.command('update <key>').description('change a key; an empty value goes back to the default'),
  )
    .option('--name <name>', 'another name')
    .action(async (wanted: string, options: GrantOptions) => {
      const api = await openKeyApi(context);
      const { id } = await findKey(api, wanted);
      asJson(
        await api('PATCH', `/${id}`, { ...(options.name && { name: options.name }), ...grantsOf(options) }),
      );
    });
  keys
    .command('revoke <key>')
    .description('end a key, at once')
    .action(async (wanted: string) => {
      const api = await openKeyApi(context);
      const { id, name } = await findKey(api, wanted);
      await api('DELETE', `/${id}`);
      print(`Revoked: ${name} (${id}).`);
    });
  keys
    .command('rotate <key>')
    .description('give a key a new text, shown this once; the old one goes on for the grace period')
    .option('--grace <time>', 'how long: 30m, 24h, 7d; 0 ends it at once', '1h')
    .option('--json', 'for programs')
    .action(async (wanted: string, { grace, json }: { grace: string; json?: boolean }) => {
      const api = await openKeyApi(context);
      const { id } = await findKey(api, wanted);
      const made = await api<FreshKey>('POST', `/${id}/rotate`, { grace_seconds: secondsOf(grace) });
      if (json) return asJson(made);
      const old = made.old_key_valid_until
        ? `goes on until ${made.old_key_valid_until}`
        : 'is refused from now on';
      print(`${made.key}\n\nThis is the only time that it is shown. The old key ${old}.`);
    });
  keys
    .command('import <file>')
    .description('take over the keys of a key file, by their hashes')
    .action(async (file: string) => {
      const { records, problems } = parseKeyFile(readText(file), basename(file));
      for (const problem of problems) print(`${basename(file)}: ${problem}`);
      if (records.size === 0) throw new CommandError(`${file} holds no key.`);
      const entries = [...records.values()].map(({ hash, id: _, ...key }) => ({ key_sha256: hash, ...key }));
      const api = await openKeyApi(context);
      const done = await api<{ imported: KeyView[]; skipped: number }>('POST', '/import', { keys: entries });
      print(`${done.imported.length} keys were taken over, ${done.skipped} were known already.`);
    });
}

function withGrants(command: Command): Command {
  return command
    .option('--role <role>', 'user or admin')
    .option('--models <names>', 'that it may ask: embedding, reranker')
    .option('--requests-per-minute <n>')
    .option('--inputs-per-minute <n>', 'texts and documents')
    .option('--tokens-per-minute <n>')
    .option('--concurrency-share <part>', 'of limits.concurrency, above 0 to 1')
    .option('--priority <class>', 'interactive, or bulk: it lets others go first')
    .option('--weight <n>', 'its part of a busy model, against the 1 of others')
    .option('--expires <time>', 'in 30d, 12h; or a date')
    .option('--allow <addresses>', 'addresses and blocks that it may be used from: 10.0.0.0/8,::1');
}

/** What the options say, as the API takes it; an empty text is the default again. */
function grantsOf(options: GrantOptions): Record<string, unknown> {
  const list = (text: string) => text.split(',').map(part => part.trim());
  const parsers: [string, string | undefined, (text: string) => unknown][] = [
    ['role', options.role, text => text],
    ['models', options.models, list],
    ['requests_per_minute', options.requestsPerMinute, Number],
    ['inputs_per_minute', options.inputsPerMinute, Number],
    ['tokens_per_minute', options.tokensPerMinute, Number],
    ['concurrency_share', options.concurrencyShare, Number],
    ['priority', options.priority, text => text],
    ['weight', options.weight, Number],
    ['expires_at', options.expires, text => new Date(momentOf(text, 1)).toISOString()],
    ['allowed_addresses', options.allow, list],
  ];
  return Object.fromEntries(
    parsers.flatMap(([name, text, parse]) =>
      text === undefined ? [] : [[name, text === '' ? null : parse(text)] as const],
    ),
  );
}

type KeyApi = <Answer>(method: string, path: string, body?: unknown) => Promise<Answer>;

/** Calls `/admin/keys` of the running gateway. Throws CommandError with what the gateway said, or what to do. */
export async function openKeyApi({ root, environment, pm2 }: CommandContext): Promise<KeyApi> {
  const config = (await runningSystem(root, pm2)).config ?? resolveConfig(root, environment);
  const key = environment.ER_API_KEY || adminKey(config);
  return async <Answer>(method: string, path: string, body?: unknown): Promise<Answer> => {
    const answer = await askGateway(config, `/admin/keys${path}`, key, { method, body, timeoutMs: 10_000 });
    if (answer === null)
      throw new CommandError(`Nothing answers at ${gatewayUrl(config)}. Start it first: npm start`);
    if (answer.status >= 300) {
      const said = (answer.body as { error?: { message?: string } } | null)?.error?.message;
      throw new CommandError(`${answer.status}: ${said ?? 'the gateway refused'}`);
    }
    return answer.body as Answer;
  };
}

function adminKey({ keys }: EffectiveConfig): string {
  const key = adminKeyOf(readText(keys.file), keys.file);
  if (key === null)
    throw new CommandError(`${keys.file} holds no key of role admin; give one in ER_API_KEY.`);
  return key;
}

/** The key with this id (or the only one whose id begins so), or with this name. Throws CommandError. */
async function findKey(api: KeyApi, wanted: string): Promise<KeyView> {
  const { keys } = await api<{ keys: KeyView[] }>('GET', '');
  const exact = keys.filter(({ id, name }) => id === wanted || name === wanted);
  const found =
    exact.length > 0 ? exact : keys.filter(({ id }) => wanted.length >= 4 && id.startsWith(wanted));
  const [key, ...others] = found;
  if (!key) throw new CommandError(`There is no key ${wanted}. See: npx er keys list`);
  if (others.length > 0)
    throw new CommandError(`${wanted} names ${found.length} keys: ${found.map(({ id }) => id).join(', ')}`);
  return key;
}

function stateOf(key: KeyView): string {
  if (key.is_expired) return 'expired';
  return key.old_key_valid_until ? `rotating until ${key.old_key_valid_until}` : 'good';
}

const ofView = new Set([
  ...['id', 'name', 'role', 'source', 'host', 'created_at', 'is_expired', 'old_key_valid_until'],
]);

/** What is granted beside the defaults: `models=embedding weight=2`. */
function grantsText(key: KeyView): string {
  return Object.entries(key)
    .filter(([name]) => !ofView.has(name))
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}
