import { RequestError } from '@er-gateway/shared/errors/request-error';

/**
 * Fields of some client's language that change numbers or what comes back, each with the values that ask for what is done
 * anyway. A dialect that does not know one of them refuses other values by its name: left out silently, the caller would
 * get other vectors or scores than asked for. Fields that are in nobody's language, and those that change nothing (`user`,
 * `request_id`, `metadata`, ...), are ignored.
 */
const numberFields: [name: string, neutral: readonly unknown[]][] = Object.entries({
  activation: [],
  add_special_tokens: [true],
  chat_template: [],
  chat_template_kwargs: [],
  dimensions: [],
  documents: [],
  embed_dtype: ['float32'],
  embedding_type: [],
  embedding_types: [],
  encoding_format: [],
  endianness: [],
  image: [],
  images: [],
  input: [],
  input_type: [],
  inputs: [],
  instruct: [],
  instruction: [],
  late_chunking: [false],
  max_chunks_per_doc: [],
  max_length: [],
  max_tokens: [],
  max_tokens_per_doc: [0],
  max_tokens_per_query: [0],
  messages: [],
  mm_processor_kwargs: [],
  normalize: [true],
  normalized: [true],
  output_dimension: [],
  output_dimensionality: [],
  output_dtype: [],
  padding: ['do_not_pad', false],
  pooling: [],
  pooling_type: [],
  prompt: [],
  prompt_name: [],
  query: [],
  rank_fields: [],
  raw_scores: [false],
  return_documents: [false],
  return_multivector: [false],
  return_text: [false],
  score_threshold: [],
  softmax: [],
  task: [],
  task_type: [],
  text_type: [],
  texts: [],
  top_k: [],
  top_n: [0],
  truncate: [],
  truncate_dim: [],
  truncate_prompt_tokens: [],
  truncation: [],
  truncation_direction: [],
  truncation_side: [],
  use_activation: [true],
});

/** Names of one thing, in the words of several clients. */
const sameThing = [
  ['input_type', 'task'],
  ['dimensions', 'output_dimension'],
  ['instruction', 'instruct', 'chat_template_kwargs.instruction'],
  ['output_dtype', 'embedding_type'],
  ['truncation', 'truncate'],
] as const;

/** What a request may not say at once, because the one denies the other. */
const contradictions: readonly (readonly [name: string, value: unknown, other: string])[] = [
  ['truncation', false, 'truncate_prompt_tokens'],
  ['truncate', false, 'truncate_prompt_tokens'],
  ['truncate', 'NONE', 'max_tokens'],
];

/** A field by its name, or by its path in an object; undefined for null too. */
function valueAt(body: Record<string, unknown>, path: string): unknown {
  const dot = path.indexOf('.');
  if (dot < 0) return body[path] ?? undefined;
  const outer = body[path.slice(0, dot)] as Record<string, unknown> | null | undefined;
  return outer?.[path.slice(dot + 1)] ?? undefined;
}

/** Refuses a body that asks for what this dialect cannot do. Throws RequestError naming the field. */
export function refuseUnknownNumberFields(
  body: Record<string, unknown>,
  known: Readonly<Record<string, unknown>>,
): void {
  const [field] =
    numberFields.find(
      ([name, neutral]) => !(name in known) && (body[name] ?? null) !== null && !neutral.includes(body[name]),
    ) ?? [];
  if (field === undefined) return;
  throw new RequestError(
    'invalid_request',
    `${field} is not supported on this route, and the answer would not be the one you ask for. Leave it out.`,
    { param: field },
  );
}

/** Refuses a body that says one thing under two names, unless it says the same, or denies what it asks for. */
export function refuseContradictions(body: Record<string, unknown>): void {
  for (const names of sameThing) {
    const [one, other] = names.filter(name => valueAt(body, name) !== undefined);
    if (one === undefined || other === undefined || valueAt(body, one) === valueAt(body, other)) continue;
    throw new RequestError('invalid_request', `${one} and ${other} are the same thing. Send one of them.`, {
      param: other,
    });
  }
  for (const [name, value, other] of contradictions) {
    if (body[name] !== value || valueAt(body, other) === undefined) continue;
    throw new RequestError(
      'invalid_request',
      `${other} cuts, and ${name} is ${value}. Leave out one of them.`,
      { param: other },
    );
  }
}
