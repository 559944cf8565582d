import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { z } from 'zod';
import { mostItems } from '../dialects/lists.ts';

/** The body, which must be a JSON object. Throws RequestError. */
export function asObject(body: unknown): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RequestError('invalid_request', 'The body must be a JSON object.');
  }
  return body as Record<string, unknown>;
}

/**
 * The body as the schema has it. Throws RequestError that names the first thing that is wrong. Lengths of lists come
 * first: zod reads each list to its end, and keeps an issue for each wrong item.
 */
export function parseBody<Body>(
  schema: z.ZodType<Body> & { shape?: Readonly<Record<string, unknown>> },
  body: Record<string, unknown>,
): Body {
  for (const name in schema.shape) {
    const value = body[name];
    if (Array.isArray(value) && value.length > mostItems) {
      throw new RequestError(
        'invalid_request',
        `${name} holds ${value.length} items; no list may hold more than ${mostItems}.`,
        { param: name },
      );
    }
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [first, ...others] = parsed.error.issues;
  const param = first === undefined ? '' : toParam(first.path);
  const isMissing = param !== '' && first?.path.length === 1 && body[param] === undefined;
  const said = isMissing
    ? `${param} is missing`
    : first?.code === 'unrecognized_keys'
      ? unknownFields(first.keys)
      : `${first?.message.includes(param) ? '' : `${param}: `}${first?.message}`;
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  throw new RequestError('invalid_request', `${said}${more}.`, param === '' ? {} : { param });
}

/** Names that a client made up may be texts of any length: only one that looks like a field is told. */
const unknownFields = ([first = '']: string[]) =>
  `${/^\w{1,64}$/.test(first) ? first : 'a field'} is not known here`;

/** A path as clients write it: `documents[3].text`. */
function toParam(path: PropertyKey[]): string {
  return path
    .map((part, depth) => (typeof part === 'number' ? `[${part}]` : `${depth > 0 ? '.' : ''}${String(part)}`))
    .join('');
}
