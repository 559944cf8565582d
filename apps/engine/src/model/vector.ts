/** The vector at length 1; a zero vector stays as it is. */
export function normalise(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector));
  return length === 0 ? vector : vector.map(value => value / length);
}

/** The first `dimensions` numbers at length 1 again. */
export function cut(vector: Float32Array, dimensions: number): Float32Array {
  return dimensions === vector.length ? vector : normalise(vector.slice(0, dimensions));
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += (a[index] as number) * (b[index] as number);
  return sum;
}

/** Cosine at which a pair counts as half relevant, and how steeply the score rises there; see design.md. */
const midpoint = 0.35;
const slope = 12;

/**
 * Relevance of two texts in (0,1) from their vectors of length 1. Rises with the cosine and changes no order; it is not
 * a probability.
 */
export function relevance(query: Float32Array, document: Float32Array): number {
  return 1 / (1 + Math.exp(-slope * (dot(query, document) - midpoint)));
}
