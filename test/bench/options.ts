import { parseArgs } from 'node:util';

/** How a run differs from each scenario's own defaults; null leaves the choice to the scenario. */
export interface BenchOptions {
  /** Length of one sample in seconds; whole ones, since wrk knows no others. */
  seconds: number | null;
  /** How often each side is measured, in turns. */
  pairs: number | null;
  /** Load on each side before the first sample, in seconds. */
  warmUpSeconds: number | null;
  /** Requests of the soak. */
  requests: number | null;
  /** Numbers of clients, where a scenario goes through several. */
  clients: number[] | null;
  /** Models that a scenario goes through, where it has several. */
  models: string[] | null;
  /** Engine behind the startup scenario. */
  engine: 'builtin' | 'external';
  /** Other proxies too. */
  isRivals: boolean;
  /** Every combination of settings instead of one at a time. */
  isFull: boolean;
  /** Smallest settings, to see whether a scenario works; the figures mean nothing, and go to `<name>.local.json`. */
  isQuick: boolean;
}

/** The command line: names of scenarios, and the options. Throws on what is neither. */
export function parseOptions(args: readonly string[]): { names: string[]; options: BenchOptions } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      pairs: { type: 'string' },
      'warm-up': { type: 'string' },
      requests: { type: 'string' },
      clients: { type: 'string' },
      models: { type: 'string' },
      engine: { type: 'string', default: 'builtin' },
      rivals: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
    },
  });
  const isQuick = values.quick;
  const number = (name: 'seconds' | 'pairs' | 'warm-up' | 'requests', quick: number) => {
    const text = values[name];
    if (text === undefined) return isQuick ? quick : null;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} takes a whole number from 1, not ${text}`);
    return value;
  };
  if (values.engine !== 'builtin' && values.engine !== 'external')
    throw new Error(`--engine is builtin or external, not ${values.engine}`);
  return {
    names: positionals,
    options: {
      seconds: number('seconds', 1),
      pairs: number('pairs', 1),
      warmUpSeconds: number('warm-up', 1),
      requests: number('requests', 2000),
      clients: values.clients?.split(',').map(Number) ?? (isQuick ? [1, 8] : null),
      models: values.models?.split(',') ?? null,
      engine: values.engine,
      isRivals: values.rivals,
      isFull: values.full,
      isQuick,
    },
  };
}
