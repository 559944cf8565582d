import { accessSync, constants, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { ConfigError } from '../errors/config-error.ts';
import { settingsFromEnvironment } from './environment.ts';
import { forgetRunDirs, runDirOfThisBoot } from './run-dir.ts';
import { configSchema, type ModelSettings, type Role, roles, type Settings } from './schema.ts';

/** What answers for one model. */
export type Engine = 'vllm' | 'builtin' | 'external';

/** One model, decided: which engine runs it, why, and where its servers answer. */
export interface EffectiveModel extends ModelSettings {
  role: Role;
  engine: Engine;
  /** One line for people: why this engine was chosen. */
  engineReason: string;
  /** Base URLs of the model servers, one a replica, without a trailing slash. */
  upstreams: string[];
}

/** Settings with every choice made and every path absolute. Frozen; written once a start, read by every process. */
export interface EffectiveConfig extends Omit<Settings, 'models' | 'run_dir'> {
  /** The project's root folder. */
  root: string;
  run_dir: string;
  models: Record<Role, EffectiveModel>;
}

/** Longest path that a unix socket may have on Linux, its closing zero included (unix(7)). */
const maxSocketPathBytes = 108;
/** Longest file name that we put below the run folder: `control/gateway-<pid>.sock`. */
const longestSocketName = 'control/scheduler-4194304.sock';

/**
 * The configuration of this system: the file that the starter wrote (`ER_EFFECTIVE_CONFIG`), else defaults, the YAML
 * file and the environment. Throws ConfigError that lists every problem.
 */
export function loadConfig(root: string, environment: NodeJS.ProcessEnv = process.env): EffectiveConfig {
  const written = environment.ER_EFFECTIVE_CONFIG;
  if (written) return readEffectiveConfig(written);
  return resolveConfig(root, environment);
}

function readEffectiveConfig(file: string): EffectiveConfig {
  const config = JSON.parse(readFileSync(file, 'utf8')) as EffectiveConfig;
  const fallback = defaultRunDir(config.gateway.port, {});
  const runDir = isTooLong(fallback)
    ? config.run_dir
    : runDirOfThisBoot({ wanted: config.run_dir, fallback, configFile: file });
  return deepFreeze({ ...config, run_dir: runDir });
}

/** Defaults < `er.config.yaml` (or `ER_CONFIG`) < environment, validated and decided. Throws ConfigError. */
export function resolveConfig(root: string, environment: NodeJS.ProcessEnv): EffectiveConfig {
  const file = readConfigFile(root, environment);
  const fromEnvironment = settingsFromEnvironment(environment);
  const problems = [...file.problems, ...fromEnvironment.problems];
  const parsed = configSchema.safeParse(mergeTrees(file.settings, fromEnvironment.settings));
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const where = issue.path.join('.') || 'the configuration';
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) problems.push(`${[...issue.path, key].join('.')}: no such setting`);
      } else problems.push(`${where}: ${issue.message}`);
    }
  }
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  const settings = parsed.data;
  const config = decide(root, settings, environment);
  const contradictions = contradictionsOf(settings, config);
  if (contradictions.length > 0) throw new ConfigError(contradictions);
  return deepFreeze(config);
}

/** Writes the configuration for the other processes, readable by this user alone (redis.url may hold a password). */
export function writeEffectiveConfig(config: EffectiveConfig, file: string): void {
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  forgetRunDirs(file);
}

function readConfigFile(root: string, environment: NodeJS.ProcessEnv) {
  const named = environment.ER_CONFIG;
  const path = resolve(root, named || 'er.config.yaml');
  const none = { settings: {} as Record<string, unknown>, problems: [] as string[] };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (!named && (error as NodeJS.ErrnoException).code === 'ENOENT') return none;
    return { ...none, problems: [`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`] };
  }
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    return { ...none, problems: document.errors.map(error => `${path}: ${error.message.split('\n')[0]}`) };
  }
  const tree: unknown = document.toJS() ?? {};
  if (!isTree(tree))
    return { ...none, problems: [`${path}: must hold settings (name: value), not ${typeof tree}`] };
  return { ...none, settings: dropEmptySections(tree) };
}

/** `gateway:` with nothing below it is a section left empty, not a null. */
function dropEmptySections(tree: Record<string, unknown>): Record<string, unknown> {
  const sections = new Set([
    'gateway',
    'limits',
    'redis',
    'keys',
    'logs',
    'audit',
    'models',
    'vllm',
    'cache',
    'batch',
    'monitor',
  ]);
  return Object.fromEntries(
    Object.entries(tree).filter(([name, value]) => value !== null || !sections.has(name)),
  );
}

function mergeTrees(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name];
    merged[name] = isTree(below) && isTree(value) ? mergeTrees(below, value) : value;
  }
  return merged;
}

const isTree = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function decide(root: string, settings: Settings, environment: NodeJS.ProcessEnv): EffectiveConfig {
  const absolute = (path: string | null) => (path === null ? null : resolve(root, path));
  return {
    ...settings,
    root,
    run_dir:
      settings.run_dir === null
        ? defaultRunDir(settings.gateway.port, environment)
        : resolve(root, settings.run_dir),
    keys: { file: resolve(root, settings.keys.file) },
    logs: { ...settings.logs, dir: resolve(root, settings.logs.dir) },
    gateway: {
      ...settings.gateway,
      tls: {
        ...settings.gateway.tls,
        cert: absolute(settings.gateway.tls.cert),
        key: absolute(settings.gateway.tls.key),
      },
    },
    models: {
      embedding: decideModel('embedding', settings, environment),
      reranker: decideModel('reranker', settings, environment),
    },
  };
}

function decideModel(role: Role, settings: Settings, environment: NodeJS.ProcessEnv): EffectiveModel {
  const model = settings.models[role];
  const { engine, engineReason } = chooseEngine(model, settings, environment);
  const replicas = engine === 'builtin' ? 1 : model.replicas;
  const upstreams =
    engine === 'external'
      ? model.urls.map(url => url.replace(/(?<!\/)\/+$/, ''))
      : Array.from({ length: replicas }, (_, replica) => `http://127.0.0.1:${portOfReplica(model, replica)}`);
  return { ...model, replicas, role, engine, engineReason, upstreams };
}

const portOfReplica = ({ port }: ModelSettings, replica: number) => port + 10 * replica;

function chooseEngine(
  model: ModelSettings,
  settings: Settings,
  environment: NodeJS.ProcessEnv,
): { engine: Engine; engineReason: string } {
  if (settings.engine !== 'auto')
    return { engine: settings.engine, engineReason: `engine: ${settings.engine} in the configuration` };
  if (model.urls.length > 0) return { engine: 'external', engineReason: 'urls are configured' };
  const command = findProgram(settings.vllm.command, environment);
  if (!command) return { engine: 'builtin', engineReason: `no ${settings.vllm.command} on PATH` };
  if (!isDirectory(model.path))
    return { engine: 'builtin', engineReason: `no model folder at ${model.path}` };
  return { engine: 'vllm', engineReason: `${command} and ${model.path} were found` };
}

/** Problems that only show between settings: shared ports, missing models, half a TLS pair. */
function contradictionsOf(settings: Settings, config: EffectiveConfig): string[] {
  const problems: string[] = [];
  const ports = new Map<number, string>();
  const claim = (port: number, owner: string) => {
    const other = ports.get(port);
    if (other) problems.push(`${owner}: port ${port} is taken by ${other} already`);
    else if (port > 65535) problems.push(`${owner}: port ${port} is above 65535`);
    ports.set(port, owner);
  };
  claim(config.gateway.port, 'gateway.port');
  claim(config.monitor.port, 'monitor.port');
  for (const role of roles) {
    const model = config.models[role];
    if (model.engine !== 'external') {
      for (let replica = 0; replica < model.replicas; replica++) {
        claim(portOfReplica(model, replica), `models.${role}.port`);
      }
    } else if (model.urls.length === 0) {
      problems.push(`models.${role}.urls: the external engine needs at least one URL`);
    }
    if (model.engine === 'vllm' && !isDirectory(model.path)) {
      problems.push(
        `models.${role}.path: no folder at ${model.path} (download the model there, or set ER_MODELS_${role.toUpperCase()}_PATH)`,
      );
    }
  }
  if ((settings.gateway.tls.cert === null) !== (settings.gateway.tls.key === null)) {
    problems.push('gateway.tls: cert and key go together; one of them is missing');
  }
  if (isTooLong(config.run_dir)) {
    problems.push(
      `run_dir: ${config.run_dir} is too long for unix sockets (at most ${maxSocketPathBytes - longestSocketName.length - 2} bytes)`,
    );
  }
  return problems;
}

const isTooLong = (runDir: string) =>
  Buffer.byteLength(join(runDir, longestSocketName)) >= maxSocketPathBytes;

function defaultRunDir(port: number, environment: NodeJS.ProcessEnv): string {
  const runtime = environment.XDG_RUNTIME_DIR;
  if (runtime && isDirectory(runtime)) return join(runtime, `er-gateway-${port}`);
  return join(tmpdir(), `er-gateway-${userInfo().uid}-${port}`);
}

/** The full path of a program given by name (looked up on PATH) or by path; null when there is none. */
export function findProgram(command: string, environment: NodeJS.ProcessEnv): string | null {
  const candidates = command.includes('/')
    ? [resolve(command)]
    : (environment.PATH ?? '')
        .split(delimiter)
        .filter(Boolean)
        .map(folder => join(folder, command));
  return candidates.find(isExecutableFile) ?? null;
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const isDirectory = (path: string) => existsSync(path) && statSync(path).isDirectory();

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
