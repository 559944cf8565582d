import { RequestError } from '@er-gateway/shared/errors/request-error';

/** Bodies up to this size are parsed unseen: their size bounds what they can become. */
const unseenUpToBytes = 1024 * 1024;

/** Lists and objects, and values, of a body that is parsed. Two bytes (`[]`) become 56 in memory. */
const mostContainers = 262_144;
const mostValues = 4_194_304;

const [quote, backslash, comma, bracket, brace] = Buffer.from('"\\,[{') as unknown as number[];

/** Refuses a large body that would become many times as large when it is parsed. Throws RequestError. */
export function checkShape(body: Buffer): void {
  if (body.length <= unseenUpToBytes) return;
  let containers = 0;
  let values = 1;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at];
    if (byte === quote) at = endOfString(body, at);
    else if (byte === comma) values++;
    else if (byte === bracket || byte === brace) containers++;
    if (containers > mostContainers) throw tooMany(mostContainers, 'lists and objects');
    if (values > mostValues) throw tooMany(mostValues, 'values');
  }
}

/** Where the string that begins at `start` ends; the body's end when it does not. */
function endOfString(body: Buffer, start: number): number {
  const next = body.indexOf(quote as number, start + 1);
  if (next < 0) return body.length;
  if (body[next - 1] !== backslash) return next;
  for (let at = start + 1; at < body.length; at++) {
    if (body[at] === backslash) at++;
    else if (body[at] === quote) return at;
  }
  return body.length;
}

const tooMany = (most: number, what: string) =>
  new RequestError('invalid_request', `The body holds more than ${most} ${what}. Split it.`);
