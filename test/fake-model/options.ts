import { parseArgs } from 'node:util';

/** What the fake stands in for. */
export type FakeRole = 'embedding' | 'reranker';

/** Everything that can be set when it starts; each is a flag of the same name in kebab case. */
export interface FakeModelOptions {
  role: FakeRole;
  /** 0 takes a free one. */
  port: number;
  host: string;
  /** Unix socket instead of host and port. Its file stays behind, like vLLM's. */
  uds: string | null;
  servedName: string;
  maxModelLen: number;
  /** Whether `dimensions` is allowed (`is_matryoshka` of vLLM). */
  matryoshka: boolean;
  /** Reranker: template file. Without one query and document are glued together, as vLLM does. */
  chatTemplate: string | null;
  /** `long` is vLLM without orjson (Python's float64 text), `short` with it (shortest float32 text). */
  floatText: 'long' | 'short';
  keepAliveMs: number;
  /** Time between start and the first accepted connection; SIGTERM is lost meanwhile. */
  bootMs: number;
  /** Time between SIGTERM and the exit. */
  shutdownMs: number;
  /** Never ends on SIGTERM, so that only SIGKILL helps. */
  ignoreSigterm: boolean;
  /** Starts a child that poses as EngineCore and outlives a SIGKILL of its parent. */
  engineProcess: boolean;
  /** Cost of a call and of each input in the front end, which does one at a time. */
  overheadMs: number;
  perInputMs: number;
  /** Cost of an engine step and of each token in it; a step takes what fits below the two limits. */
  stepMs: number;
  perTokenUs: number;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  /** Unfinished inputs above which a call is refused with 503; 0 is no limit. */
  maxNumQueuedReqs: number;
}

/** The defaults: a server that costs nothing, ready at once. */
export const defaultOptions: FakeModelOptions = {
  role: 'embedding',
  port: 0,
  host: '127.0.0.1',
  uds: null,
  servedName: 'Qwen3-Embedding-0.6B',
  maxModelLen: 32768,
  matryoshka: true,
  chatTemplate: null,
  floatText: 'long',
  keepAliveMs: 5000,
  bootMs: 0,
  shutdownMs: 400,
  ignoreSigterm: false,
  engineProcess: false,
  overheadMs: 0,
  perInputMs: 0,
  stepMs: 0,
  perTokenUs: 0,
  maxNumSeqs: 128,
  maxNumBatchedTokens: 2048,
  maxNumQueuedReqs: 0,
};

/** The flags for these options. */
export function toFlags(options: Partial<FakeModelOptions>): string[] {
  return Object.entries(options)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `--${kebab(name)}=${value}`);
}

/** Reads the flags; throws on one that does not exist or a number that is none. */
export function parseFlags(argv: string[]): FakeModelOptions {
  const names = Object.keys(defaultOptions) as (keyof FakeModelOptions)[];
  const { values } = parseArgs({
    args: argv,
    options: Object.fromEntries(names.map(name => [kebab(name), { type: 'string' as const }])),
  });
  const given = names.flatMap(name => {
    const text = values[kebab(name)];
    return typeof text === 'string' ? [[name, toType(name, text)]] : [];
  });
  const options = { ...defaultOptions, ...Object.fromEntries(given) } as FakeModelOptions;
  if (options.role === 'reranker' && values['served-name'] === undefined) {
    options.servedName = 'Qwen3-Reranker-0.6B';
  }
  return options;
}

function toType(name: keyof FakeModelOptions, text: string): string | number | boolean {
  const kind = typeof defaultOptions[name];
  if (kind === 'boolean') return text === 'true';
  if (kind !== 'number') return text;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`--${kebab(name)} takes a number, not ${text}`);
  return value;
}

const kebab = (name: string) => name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
