import { RequestError } from '@er-gateway/shared/errors/request-error';

/**
 * Vectors one after another, in the length that the caller wants: the first `wanted` numbers of each, normalised to length
 * 1 again (Matryoshka; equal to vLLM's own `dimensions` within 2e-8). Each of `vectors` is float32 and 4-byte aligned.
 * One whole vector is passed on as it is. Throws RequestError when the model's vectors are shorter, or not of
 * one size.
 */
export function joinVectors(
  vectors: readonly Uint8Array[],
  wanted: number | null,
): { vectors: Uint8Array; dimensions: number } {
  const available = (vectors[0]?.byteLength ?? 0) / 4;
  const dimensions = wanted ?? available;
  if (dimensions > available) {
    throw new RequestError(
      'invalid_request',
      `dimensions must be at most ${available} for this model, not ${dimensions}.`,
      {
        param: 'dimensions',
      },
    );
  }
  if (vectors.some(({ byteLength }) => byteLength !== available * 4)) {
    throw new RequestError('upstream_failed', 'The model servers answered with vectors of different sizes.');
  }
  const [only] = vectors;
  if (only !== undefined && vectors.length === 1 && dimensions === available)
    return { vectors: only, dimensions };
  const joined = Buffer.allocUnsafeSlow(vectors.length * dimensions * 4);
  vectors.forEach((vector, index) => {
    const start = index * dimensions * 4;
    if (dimensions === available) joined.set(vector, start);
    else writeCut(vector, new Float32Array(joined.buffer, start, dimensions));
  });
  return { vectors: joined, dimensions };
}

/** The first numbers of a vector, as many as `target` holds, normalised. */
function writeCut(vector: Uint8Array, target: Float32Array): void {
  const source = new Float32Array(vector.buffer, vector.byteOffset, target.length);
  let squares = 0;
  for (const value of source) squares += value * value;
  const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
  for (let index = 0; index < target.length; index++) target[index] = (source[index] as number) * scale;
}
