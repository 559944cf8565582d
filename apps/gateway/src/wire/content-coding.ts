import type { Transform } from 'node:stream';
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib';

/** A way to compress an answer. */
export interface ContentCoding {
  /** As in `Accept-Encoding` and `Content-Encoding`. */
  name: 'zstd' | 'br' | 'gzip';
  createEncoder: () => Transform;
}

/** Best first. Fast levels: an answer is compressed once and read once. */
const codings: ContentCoding[] = [
  {
    name: 'zstd',
    createEncoder: () => createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  },
  {
    name: 'br',
    createEncoder: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  },
  { name: 'gzip', createEncoder: () => createGzip({ level: 1 }) },
];

/** The one of ours that a client likes best, by its `Accept-Encoding`; null when it asks for none (RFC 9110, 12.5.3). */
export function chooseCoding(accepted: string | string[] | undefined): ContentCoding | null {
  const weights = new Map<string, number>();
  for (const part of String(accepted ?? '').split(',')) {
    const [name = '', ...parameters] = part.toLowerCase().split(';');
    const weight = parameters.map(text => /^\s*q=([\d.]+)\s*$/.exec(text)?.[1]).find(Boolean);
    weights.set(name.trim(), weight === undefined ? 1 : Number(weight));
  }
  const weightOf = ({ name }: ContentCoding) => weights.get(name) ?? weights.get('*') ?? 0;
  const [favourite] = codings.toSorted((a, b) => weightOf(b) - weightOf(a));
  return favourite && weightOf(favourite) > 0 ? favourite : null;
}
