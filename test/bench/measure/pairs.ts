/** One side of a comparison: takes one sample. */
export type Measure<Sample> = (round: number) => Promise<Sample>;

/** How the sides take turns. */
export interface TurnOptions<Sample> {
  /** Samples of each side. */
  rounds: number;
  /** Told of each sample as it comes. */
  onSample?: (side: string, sample: Sample, round: number) => void;
}

/**
 * Measures sides in turns, A B A B …: what the machine does meanwhile meets all of them. Resolves to the samples of each
 * side, in the order of the rounds.
 */
export async function takeTurns<Side extends string, Sample>(
  sides: Record<Side, Measure<Sample>>,
  { rounds, onSample }: TurnOptions<Sample>,
): Promise<Record<Side, Sample[]>> {
  const names = Object.keys(sides) as Side[];
  const samples = Object.fromEntries(names.map(name => [name, []])) as unknown as Record<Side, Sample[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const sample = await sides[name](round);
      samples[name].push(sample);
      onSample?.(name, sample, round);
    }
  }
  return samples;
}
