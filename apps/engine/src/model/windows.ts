import { normalise } from './vector.ts';

/** The tokens in as few windows of at most `size` as possible, all about equally long. */
export function toWindows(tokens: readonly number[], size: number): number[][] {
  const count = Math.ceil(tokens.length / size);
  return Array.from({ length: count }, (_, index) =>
    tokens.slice(
      Math.floor((index * tokens.length) / count),
      Math.floor(((index + 1) * tokens.length) / count),
    ),
  );
}

/** One vector of length 1 for a text: the mean of its windows' vectors, each weighted by its tokens. */
export function joinWindows(vectors: readonly Float32Array[], windows: readonly number[][]): Float32Array {
  const [first] = vectors;
  if (first === undefined) throw new Error('a text has at least one window');
  if (vectors.length === 1) return first;
  const sum = new Float32Array(first.length);
  vectors.forEach((vector, window) => {
    const weight = windows[window]?.length ?? 0;
    for (let index = 0; index < sum.length; index++)
      sum[index] = (sum[index] as number) + weight * (vector[index] as number);
  });
  return normalise(sum);
}
