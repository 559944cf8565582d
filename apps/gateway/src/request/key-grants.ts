import { BlockList, isIPv6 } from 'node:net';
import type { EffectiveModel } from '@er-gateway/shared/config/effective-config';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { KeyRecord } from '@er-gateway/shared/state/store';

/** The blocks of a key, made when it is first used: records are few and live long. */
const blockLists = new WeakMap<KeyRecord, BlockList>();

/** Refuses a key whose time is over, or that may not be used from this address. Throws RequestError. */
export function checkKeyInForce(key: KeyRecord, address: string): void {
  if (isOver(key.expires_at) || isOver(key.grace_ends_at)) {
    throw new RequestError('invalid_api_key', 'The API key has expired. Ask for a new one.', {
      headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
    });
  }
  if (key.allowed_addresses !== undefined && !isAllowed(key, key.allowed_addresses, address)) {
    throw new RequestError(
      'permission_denied',
      'The API key may not be used from this address. Its allow list names those from which it may.',
    );
  }
}

/** Refuses a key that may not ask this model. Throws RequestError. */
export function checkModelAllowed(key: KeyRecord | null, { role, served_name: name }: EffectiveModel): void {
  const { models } = key ?? {};
  if (models === undefined || models.includes(role) || models.includes(name)) return;
  throw new RequestError(
    'permission_denied',
    `This key may not ask ${name}. It may ask ${models.join(', ')}.`,
    {
      param: 'model',
    },
  );
}

const isOver = (time: string | undefined) => time !== undefined && Date.parse(time) <= Date.now();

function isAllowed(key: KeyRecord, blocks: readonly string[], address: string): boolean {
  if (address === '') return false;
  let list = blockLists.get(key);
  if (!list) {
    list = new BlockList();
    for (const block of blocks) {
      const [base = '', prefix] = block.split('/');
      const family = isIPv6(base) ? 'ipv6' : 'ipv4';
      if (prefix === undefined) list.addAddress(base, family);
      else list.addSubnet(base, Number(prefix), family);
    }
    blockLists.set(key, list);
  }
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
