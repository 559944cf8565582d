import { CommandError } from './command-context.ts';

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `30m`, `24h`, `7d` in seconds. Throws CommandError. */
export function secondsOf(text: string): number {
  const [, count, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (count === undefined) throw new CommandError(`${text} is no length of time; write 30m, 24h, 7d`);
  return Number(count) * (unitSeconds[unit] ?? 1);
}

/** A length of time from now (`direction` 1) or ago (-1), or a date, as Unix time in milliseconds. Throws CommandError. */
export function momentOf(text: string, direction: 1 | -1): number {
  const isLength = /^\d{1,9}[smhd]$/.test(text);
  const at = isLength ? Date.now() + direction * secondsOf(text) * 1000 : Date.parse(text);
  if (Number.isNaN(at)) throw new CommandError(`${text} is no time; write 30d, or 2027-01-31`);
  return at;
}
