/** One JSON token (RFC 8259) after white space: a mark, a string, a number or a literal. */
const tokenPattern =
  /[ \t\r\n]*(?:(?<mark>[{}[\],:])|(?<text>"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")|(?<value>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/uy;

type Expected = 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or end';

/**
 * Where a text stops being JSON: `line 3, column 7`. For texts that JSON.parse refused; its own messages often lack the
 * position, and quote the text, which may be a secret.
 */
export function jsonErrorPosition(text: string): string {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  let end = 0;
  for (;;) {
    tokenPattern.lastIndex = end;
    const match = tokenPattern.exec(text);
    const next: Expected | null = match ? afterToken(match.groups ?? {}, expected, open) : null;
    if (!match || next === null) break;
    expected = next;
    end = tokenPattern.lastIndex;
  }
  const offset = end + (/^[ \t\r\n]*/.exec(text.slice(end))?.[0].length ?? 0);
  const lines = text.slice(0, offset).split('\n');
  return `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`;
}

/** What may follow the token; null when the token itself may not stand here. Keeps `open` up to date. */
function afterToken(
  { mark, text }: Record<string, string | undefined>,
  expected: Expected,
  open: ('{' | '[')[],
): Expected | null {
  const isValueDue = expected === 'value' || expected === 'value or ]';
  if (mark === undefined) {
    if (isValueDue) return ', or end';
    return text !== undefined && (expected === 'name' || expected === 'name or }') ? ':' : null;
  }
  if (mark === '{' || mark === '[') {
    if (!isValueDue) return null;
    open.push(mark);
    return mark === '{' ? 'name or }' : 'value or ]';
  }
  if (mark === ':') return expected === ':' ? 'value' : null;
  const inside = open.at(-1);
  if (mark === ',') {
    if (expected !== ', or end' || inside === undefined) return null;
    return inside === '{' ? 'name' : 'value';
  }
  const mayClose = expected === ', or end' || expected === (mark === '}' ? 'name or }' : 'value or ]');
  if (!mayClose || inside !== (mark === '}' ? '{' : '[')) return null;
  open.pop();
  return ', or end';
}
