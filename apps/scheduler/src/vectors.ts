import { RequestError } from '@er-gateway/shared/errors/request-error';

/**
 * Vectors in the length that the caller wants: the first `wanted` numbers of each, normalised to length 1 again
 * (Matryoshka; equal to vLLM's own `dimensions` within 2e-8). `vectors` holds them one after another. Throws
 * RequestError when the model's vectors are shorter.
 */
export function cutVectors(
  vectors: Float32Array,
  available: number,
  wanted: number | null,
): { vectors: Buffer; dimensions: number } {
  if (wanted === null || wanted === available) return { vectors: bytesOf(vectors), dimensions: available };
  if (wanted > available) {
    throw new RequestError(
      'invalid_request',
      `dimensions must be at most ${available} for this model, not ${wanted}.`,
      {
        param: 'dimensions',
      },
    );
  }
  const count = vectors.length / available;
  const cut = new Float32Array(count * wanted);
  for (let item = 0; item < count; item++) {
    const head = vectors.subarray(item * available, item * available + wanted);
    const norm = Math.sqrt(head.reduce((sum, value) => sum + value * value, 0));
    const scale = norm === 0 ? 0 : 1 / norm;
    for (let index = 0; index < wanted; index++) cut[item * wanted + index] = (head[index] as number) * scale;
  }
  return { vectors: bytesOf(cut), dimensions: wanted };
}

const bytesOf = (numbers: Float32Array) =>
  Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
