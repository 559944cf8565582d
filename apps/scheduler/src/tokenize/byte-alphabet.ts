/**
 * The character that stands for each byte in a byte-level BPE vocabulary (GPT-2's alphabet): printable Latin-1 stands
 * for itself, the other 68 bytes for U+0100 onwards, in order; the space becomes `Ġ`.
 */
export const characterOfByte: readonly string[] = makeAlphabet();

const byteOfCode = new Map(characterOfByte.map((character, byte) => [character.charCodeAt(0), byte]));

/** The byte that a character of a vocabulary entry stands for. Throws for one outside of the alphabet. */
export function byteOfCharacter(entry: string, at: number): number {
  const byte = byteOfCode.get(entry.charCodeAt(at));
  if (byte === undefined)
    throw new Error(`its vocabulary has ${JSON.stringify(entry)}, which is not in bytes`);
  return byte;
}

function makeAlphabet(): string[] {
  let substitute = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const standsForItself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(standsForItself ? byte : substitute++);
  });
}
