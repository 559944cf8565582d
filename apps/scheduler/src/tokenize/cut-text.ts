/**
 * Where a text can be cut without a change of its ids: after a letter, before what is none. A piece of the pattern never goes
 * on there, whatever stood before; and nothing joins across it in NFC, since both sides are characters that no canonical
 * form changes: letters of ASCII, Han and Hangul syllables; characters of ASCII, and punctuation of Chinese.
 */
const boundary =
  /[A-Za-z\u4e00-\u9fef\uac00-\ud7a3](?=[\0-@[-`{-\x7f\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\u201c\u201d])/g;

/** A text in parts of about `size` characters that are tokenized apart with the same ids; one part may be longer where nothing can be cut. */
export function cutText(text: string, size: number): string[] {
  const parts: string[] = [];
  let start = 0;
  while (text.length - start > size) {
    boundary.lastIndex = start + size - 1;
    if (!boundary.test(text)) break;
    parts.push(text.slice(start, boundary.lastIndex));
    start = boundary.lastIndex;
  }
  if (start < text.length || parts.length === 0) parts.push(text.slice(start));
  return parts;
}
