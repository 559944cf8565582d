import { isIP } from 'node:net';
import { z } from 'zod';

/** An IP address, or a range of them in CIDR form. */
export const addressRange = z
  .string()
  .refine(isAddressRange, 'must be an address as 10.0.0.1, or a range as 10.0.0.0/8');

function isAddressRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}
