import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { z } from 'zod';

/** The body, which must be a JSON object. Throws RequestError. */
export function asObject(body: unknown): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RequestError('invalid_request', 'The body must be a JSON object.');
  }
  return body as Record<string, unknown>;
}

/** The body as the schema has it. Throws RequestError that names the first thing that is wrong. */
export function parseBody<Body>(schema: z.ZodType<Body>, body: Record<string, unknown>): Body {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [first, ...others] = parsed.error.issues;
  const param = first === undefined ? '' : toParam(first.path);
  const isMissing = param !== '' && first?.path.length === 1 && body[param] === undefined;
  const said = isMissing
    ? `${param} is missing`
    : `${first?.message.includes(param) ? '' : `${param}: `}${first?.message}`;
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  throw new RequestError('invalid_request', `${said}${more}.`, param === '' ? {} : { param });
}

/** A path as clients write it: `documents[3].text`. */
function toParam(path: PropertyKey[]): string {
  return path
    .map((part, depth) => (typeof part === 'number' ? `[${part}]` : `${depth > 0 ? '.' : ''}${String(part)}`))
    .join('');
}
