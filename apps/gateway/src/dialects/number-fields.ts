import { RequestError } from '@er-gateway/shared/errors/request-error';

/**
 * Fields of some client's language that change numbers or what comes back. A dialect that does not know one of them
 * refuses it by name: left out silently, the caller would get other vectors or scores than asked for. Fields that are in
 * nobody's language, and those that change nothing (`user`, `request_id`, `metadata`, ...), are ignored.
 */
const numberFields = [
  'activation',
  'add_special_tokens',
  'chat_template',
  'chat_template_kwargs',
  'dimensions',
  'documents',
  'embed_dtype',
  'embedding_type',
  'embedding_types',
  'encoding_format',
  'endianness',
  'image',
  'images',
  'input',
  'input_type',
  'inputs',
  'instruct',
  'instruction',
  'late_chunking',
  'max_chunks_per_doc',
  'max_tokens',
  'max_tokens_per_doc',
  'max_tokens_per_query',
  'messages',
  'mm_processor_kwargs',
  'normalize',
  'normalized',
  'output_dimension',
  'output_dtype',
  'padding',
  'pooling',
  'pooling_type',
  'prompt',
  'prompt_name',
  'query',
  'rank_fields',
  'raw_scores',
  'return_documents',
  'return_multivector',
  'return_text',
  'softmax',
  'task',
  'texts',
  'top_k',
  'top_n',
  'truncate',
  'truncate_prompt_tokens',
  'truncation',
  'truncation_direction',
  'truncation_side',
  'use_activation',
] as const;

/** Refuses a body that asks for what this dialect cannot do. Throws RequestError naming the field. */
export function refuseUnknownNumberFields(
  body: Record<string, unknown>,
  known: Readonly<Record<string, unknown>>,
): void {
  const field = numberFields.find(name => !(name in known) && (body[name] ?? null) !== null);
  if (field === undefined) return;
  throw new RequestError(
    'invalid_request',
    `${field} is not supported on this route, and the answer would not be the one you ask for. Leave it out.`,
    { param: field },
  );
}
