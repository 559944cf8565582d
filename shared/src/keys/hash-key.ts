import { hash, timingSafeEqual } from 'node:crypto';

/** Shortest key that is accepted, in characters. */
const minKeyLength = 8;

/** SHA-256 of an API key, hex: the form in which keys leave the key file. */
export function hashKey(key: string): string {
  return hash('sha256', key);
}

/** Whether two hashes are the same, in a time that does not tell how far they are. */
export function isSameHash(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

/** Why no key can look like this; null when one can. */
export function keyFormProblem(key: unknown): string | null {
  if (typeof key !== 'string') return 'the key is not a string';
  if (key === '') return 'the key is empty';
  if (/\s/.test(key)) return 'the key has white space in it';
  if (key.length < minKeyLength) return `the key is shorter than ${minKeyLength} characters`;
  return null;
}
