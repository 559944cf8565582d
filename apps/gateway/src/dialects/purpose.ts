import { RequestError } from '@er-gateway/shared/errors/request-error';
import { z } from 'zod';
import { textField } from './inputs.ts';

/** Names under which clients say what an embedding is for, and whether that is a query. Qwen3 has no word for others. */
const isQueryOf: Record<string, boolean> = {
  query: true,
  search_query: true,
  'retrieval.query': true,
  'code.query': true,
  'nl2code.query': true,
  document: false,
  passage: false,
  search_document: false,
  'retrieval.passage': false,
  'code.passage': false,
  'nl2code.passage': false,
  retrieval: false,
  classification: false,
  clustering: false,
  'text-matching': false,
  separation: false,
};

/** A field that says what an embedding is for. */
export const purposeField = (name: string) => {
  const names = Object.keys(isQueryOf) as [string, ...string[]];
  return z
    .enum(names, { error: `${name} must be one of ${names.join(', ')}` })
    .nullish()
    .meta({
      description: 'Queries get an instruction in front, as the model card says; all others go as they are.',
    });
};

/** The instruction of a request, under the names that clients use. */
export const instructionFields = {
  instruction: textField('instruction')
    .nullish()
    .meta({ description: "What the model is told to do; the model card's sentence when absent." }),
  instruct: textField('instruct').nullish().meta({ description: 'Another name of instruction.' }),
};

/** The instruction that a request gives; null when it gives none, or an empty one. */
export const instructionOf = (request: {
  instruction?: string | null | undefined;
  instruct?: string | null | undefined;
}): string | null => request.instruction || request.instruct || null;

/**
 * Whether texts are embedded as queries, and with which instruction: as EmbedJob.query. An instruction makes queries of
 * them by itself. Throws RequestError where it is asked to be put before documents or token ids.
 */
export function queryOf(
  purpose: string | null | undefined,
  instruction: string | null,
  { field, inputs }: { field: string; inputs: readonly (string | number[])[] },
): { instruction: string | null } | null {
  const isQuery = purpose == null ? instruction !== null : isQueryOf[purpose] === true;
  if (!isQuery) {
    if (instruction === null) return null;
    throw new RequestError(
      'invalid_request',
      `instruction goes with queries, and ${field} says that these are none. Leave out one of them.`,
      { param: 'instruction' },
    );
  }
  if (inputs.some(input => typeof input !== 'string')) {
    throw new RequestError(
      'invalid_request',
      `${field} of a query puts an instruction before texts; these are token ids. Send texts, or leave it out and tokenize the instruction too.`,
      { param: field },
    );
  }
  return { instruction };
}
