import type { Encoding } from './requests.ts';

/** An answer of status 200: text, or raw bytes with the headers that go with them. */
export interface Answer {
  body: string | Buffer;
  headers: Record<string, string>;
}

/** What every answer begins with. */
export interface AnswerHead {
  id: string;
  model: string;
  promptTokens: number;
}

const jsonHeaders = { 'content-type': 'application/json' };

/** An answer in JSON. */
export const toJson = (value: unknown): Answer => ({ body: JSON.stringify(value), headers: jsonHeaders });

/** The usage of embeddings, scores, pooling and classification. Rerank sends the first two fields only. */
export const toUsage = (promptTokens: number) => ({
  prompt_tokens: promptTokens,
  total_tokens: promptTokens,
  completion_tokens: 0,
  prompt_tokens_details: null,
  completion_tokens_details: null,
});

/** The members that list answers share, in vLLM's order. */
export const toList = (head: AnswerHead, items: unknown[]) => ({
  id: head.id,
  object: 'list',
  created: Math.floor(Date.now() / 1000),
  model: head.model,
  data: items,
  usage: toUsage(head.promptTokens),
});

/** Vectors in the wanted encoding, below `field` (`embedding` or `data`) of each item. */
export function toVectorAnswer(
  head: AnswerHead,
  vectors: Float32Array[],
  form: { encoding: Encoding; object: string; field: string; floatText: 'long' | 'short' },
): Answer {
  const raw = Buffer.concat(
    vectors.map(vector => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)),
  );
  if (form.encoding === 'bytes_only') {
    return { body: raw, headers: { 'content-type': 'application/octet-stream' } };
  }
  if (form.encoding === 'bytes') {
    return {
      body: raw,
      headers: { 'content-type': 'application/octet-stream', metadata: toMetadata(head, vectors) },
    };
  }
  if (form.encoding === 'base64') {
    let at = 0;
    const items = vectors.map((vector, index) => {
      const text = raw.toString('base64', at, at + vector.byteLength);
      at += vector.byteLength;
      return { index, object: form.object, [form.field]: text };
    });
    return toJson(toList(head, items));
  }
  const items = vectors.map((vector, index) => ({
    index,
    object: form.object,
    [form.field]: form.floatText === 'short' ? Array.from(vector, shortFloat) : Array.from(vector),
  }));
  return toJson(toList(head, items));
}

/** The `metadata` header of `bytes` answers: Python's json.dumps, with a space after each comma and colon. */
function toMetadata(head: AnswerHead, vectors: Float32Array[]): string {
  let start = 0;
  const items = vectors.map((vector, index) => {
    const end = start + vector.byteLength;
    const item =
      `{"index": ${index}, "embed_dtype": "float32", "endianness": "native", "start": ${start}, "end": ${end}, ` +
      `"shape": [${vector.length}]}`;
    start = end;
    return item;
  });
  return (
    `{"id": "${head.id}", "created": ${Math.floor(Date.now() / 1000)}, "model": "${head.model}", "data": [${items.join(', ')}], ` +
    `"usage": {"prompt_tokens": ${head.promptTokens}, "total_tokens": ${head.promptTokens}}}`
  );
}

/** The number with the fewest digits that is the same float32. */
function shortFloat(value: number): number {
  for (let digits = 6; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
