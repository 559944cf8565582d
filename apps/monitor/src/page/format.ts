/** What stands where nothing is known. */
export const unknown = '–';

/** `show(value)`, or a dash where the value is not known. */
export const orDash = <T>(value: T | null | undefined, show: (value: T) => string): string =>
  value === null || value === undefined ? unknown : show(value);

/** At most so many decimals, with thousands separated: `12,345.6`. */
export const decimals =
  (digits: number) =>
  (value: number): string =>
    value.toLocaleString('en', { maximumFractionDigits: digits });

export const whole = decimals(0);

/** A rate, with as many decimals as its size needs: `0.25`, `7.4`, `1,204`. */
export const rate = (value: number): string => decimals(value < 1 ? 2 : value < 100 ? 1 : 0)(value);

/** A share of 0 to 1: `37 %`. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** A share of successes: 99.996 % never reads as 100 %. */
export const successPercent = (share: number): string =>
  share < 1 ? `${(Math.floor(share * 10000) / 100).toFixed(2)} %` : '100 %';

/** `0.4 ms`, `37 ms`, `1.2 s`. */
export const milliseconds = (value: number): string =>
  value < 1000 ? `${decimals(value < 10 ? 1 : 0)(value)} ms` : `${decimals(1)(value / 1000)} s`;

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `512 B`, `1.5 MiB`, `80 GiB`. */
export function bytes(value: number): string {
  let rest = value;
  let unit = 0;
  while (rest >= 1024 && unit < byteUnits.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${decimals(rest < 10 && unit > 0 ? 1 : 0)(rest)} ${byteUnits[unit]}`;
}

/** A length of time in one unit: `45 s`, `12 min`, `5 h`, `3 d`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** The time of day: `14:05:09`. */
export const clock = (at: number): string => new Date(at).toLocaleTimeString('en-GB');
