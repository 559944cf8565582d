import type { Bench } from './bench.ts';

/** What a figure must reach. */
export interface Target {
  atLeast?: number;
  atMost?: number;
}

/** One number that a scenario is run for. */
export interface Figure {
  /** What was measured, in words that stand alone in a table. */
  name: string;
  value: number;
  /** `x` is a ratio. */
  unit: 'x' | 's' | 'ms' | 'us' | 'MB' | '%' | '1/s' | '';
  target?: Target;
}

/** What a scenario found: its figures, and every sample that they were made of. */
export interface Outcome {
  figures: Figure[];
  /** Samples by what was measured, as they came. */
  samples: Record<string, unknown>;
  /** What a reader of the figures has to know: a part that was left out, a smaller set-up. */
  notes?: string[];
}

/** One thing that is measured; a file of its own. */
export interface Scenario {
  name: string;
  /** One line: what is measured, and how. */
  title: string;
  run: (bench: Bench) => Promise<Outcome>;
}

/** Whether a figure reaches its target; null when it has none. */
export function isMet({ value, target }: Figure): boolean | null {
  if (!target) return null;
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = target;
  return value >= atLeast && value <= atMost;
}
