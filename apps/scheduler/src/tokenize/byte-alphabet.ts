/**
 * The character that stands for each byte in a byte-level BPE vocabulary (GPT-2's alphabet): printable Latin-1 stands
 * for itself, the other 68 bytes for U+0100 onwards, in order; the space becomes `Ġ`.
 */
export const characterOfByte: readonly string[] = makeAlphabet();

const byteOfCharacter = new Map(characterOfByte.map((character, byte) => [character, byte]));

/** The bytes that a vocabulary entry stands for; null when it has a character outside of the alphabet. */
export function bytesOfEntry(entry: string): Uint8Array | null {
  const bytes = new Uint8Array(entry.length);
  for (let at = 0; at < entry.length; at += 1) {
    const byte = byteOfCharacter.get(entry.charAt(at));
    if (byte === undefined) return null;
    bytes[at] = byte;
  }
  return bytes;
}

function makeAlphabet(): string[] {
  let substitute = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const standsForItself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(standsForItself ? byte : substitute++);
  });
}
