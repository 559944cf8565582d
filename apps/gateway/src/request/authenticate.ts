import { RequestError } from '@er-gateway/shared/errors/request-error';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import type { KeyDirectory } from '@er-gateway/shared/keys/key-directory';
import type { KeyRecord } from '@er-gateway/shared/state/store';
import type { Request } from 'express';
import type { Exchange } from './exchange.ts';
import type { FailureGuard } from './failure-guard.ts';
import { checkKeyInForce } from './key-grants.ts';

/** Finds out who asks, by `Authorization: Bearer KEY` or `?api_key=KEY` (or a session, where the route takes one), before a byte of the body is read. */
export async function authenticate(
  exchange: Exchange,
  keys: KeyDirectory,
  guard: FailureGuard,
): Promise<void> {
  const presented = presentedKey(exchange.req);
  const session = presented === null ? await exchange.route.keyOfSession?.(exchange.req) : null;
  const key = session ?? (await keyOf(presented, exchange.address, keys, guard));
  exchange.key = key;
  checkKeyInForce(key, exchange.address);
  if (exchange.route.access === 'admin' && key.role !== 'admin') {
    throw new RequestError('permission_denied', 'This route needs a key of role admin.');
  }
}

/** The record of a key that was sent. Throws RequestError when there is none; what fails too often is made to wait, and then refused. */
async function keyOf(
  presented: string | null,
  address: string,
  keys: KeyDirectory,
  guard: FailureGuard,
): Promise<KeyRecord> {
  if (presented === null) {
    throw new RequestError(
      'invalid_api_key',
      'No API key was sent. Send "Authorization: Bearer KEY", or ?api_key=KEY in the address.',
      {
        headers: { 'www-authenticate': 'Bearer' },
      },
    );
  }
  const hash = hashKey(presented);
  const key = await keys.find(presented, hash);
  if (key === null) {
    await guard.failed(address, hash);
    throw new RequestError(
      'invalid_api_key',
      'The API key is not known here. Check it for typing errors; it may have been removed.',
      {
        headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
      },
    );
  }
  return key;
}

/** The key that a request carries; null when it carries none. */
export function presentedKey(req: Request): string | null {
  const header = req.headers.authorization;
  if (header !== undefined) {
    const [, token] = /^bearer +(\S+)\s*$/i.exec(header) ?? [];
    if (token !== undefined) return token;
  }
  const query = req.url.indexOf('?');
  if (query < 0) return null;
  return new URLSearchParams(req.url.slice(query)).get('api_key') || null;
}
