import { type Figure, isMet, type Target } from '../scenario.ts';

/** A figure's value for people: three digits and its unit. */
export function valueText({ value, unit }: Figure): string {
  if (!Number.isFinite(value)) return 'not measured';
  const digits =
    Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
  if (unit === 'x') return `${value.toFixed(2)}x`;
  return unit === '' || unit === '1/s' ? digits : `${digits} ${unit}`;
}

/** What it should reach, and whether it does; empty without a target. */
export function targetText(figure: Figure): string {
  if (!figure.target) return '';
  return `${boundsText(figure.target, figure.unit)} ${isMet(figure) ? 'met' : '**missed**'}`;
}

function boundsText({ atLeast, atMost }: Target, unit: Figure['unit']): string {
  const suffix = unit === 'x' || unit === '' ? unit : ` ${unit}`;
  return [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}${suffix}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}${suffix}`]),
  ].join(', ');
}
