import { unknownToNfc } from './unicode-version.ts';

const boundaries = new RegExp(`([${unknownToNfc}])`, 'v');

/**
 * A text as the model's normalizer makes it: NFC, and U+FFFD for lone surrogates, which have no UTF-8. Characters that
 * the library's NFC does not know stay where they are, and nothing moves or composes across them.
 */
export function normalizeText(text: string): string {
  const wellFormed = text.toWellFormed();
  const normalized = wellFormed.normalize('NFC');
  // What newer tables leave unchanged, older ones do too.
  if (normalized === wellFormed || !boundaries.test(wellFormed)) return normalized;
  return wellFormed
    .split(boundaries)
    .map(part => part.normalize('NFC'))
    .join('');
}
