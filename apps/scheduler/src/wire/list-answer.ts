import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import { bytesOfBase64 } from './float-bytes.ts';

/** What vLLM's answers to several inputs have in common. */
export interface ListAnswer {
  data: { index: number }[];
}

/** The answer with its items in the order of the inputs. Throws UpstreamFailure when some are missing. */
export function parseList<Answer extends ListAnswer>(body: Buffer, count: number): Answer {
  return parse(body.toString('latin1'), count);
}

const [quote, backslash] = [0x22, 0x5c];
/** What stands before the number of a text that was taken out: no text begins with it in JSON without a backslash. */
const mark = '\0';
const markInJson = '\\u0000';

/**
 * The same, and the bytes that its items have in base64 under `field`, none for an item without such a text. The texts
 * are taken out before the rest is parsed: as a part of one text, 200 kB for 36 vectors, they were copied three times to
 * where only a large collection frees them. Without a backslash each quote begins or ends a text, so `"field":"` is
 * nothing else; JSON with one, or with spaces there, has its texts decoded after parsing.
 */
export function parseVectors<Answer extends ListAnswer>(
  body: Buffer,
  field: string,
  count: number,
): { answer: Answer; vectors: Uint8Array[] } {
  const beginning = `"${field}":"`;
  const taken: Uint8Array[] = [];
  let rest = '';
  let from = 0;
  let at = body.includes(backslash) ? -1 : body.indexOf(beginning);
  while (at >= 0) {
    const start = at + beginning.length;
    const end = body.indexOf(quote, start);
    if (end < 0) break;
    rest += body.toString('latin1', from, start) + markInJson + taken.length;
    taken.push(bytesOfBase64(body.toString('latin1', start, end)));
    from = end;
    at = body.indexOf(beginning, from);
  }
  rest += body.toString('latin1', from);
  const answer = parse<Answer>(rest, count);
  const vectors = answer.data.map(item => {
    const text = (item as unknown as Record<string, unknown>)[field];
    if (typeof text !== 'string') return none;
    return text.startsWith(mark) ? (taken[Number(text.slice(mark.length))] ?? none) : bytesOfBase64(text);
  });
  return { answer, vectors };
}

const none = new Uint8Array(0);

function parse<Answer extends ListAnswer>(json: string, count: number): Answer {
  let answer: Answer;
  try {
    answer = JSON.parse(json) as Answer;
    answer.data.sort((a, b) => a.index - b.index);
  } catch (error) {
    throw new UpstreamFailure('nonsense', 'answered with something that is no list of results', {
      cause: error,
    });
  }
  if (answer.data.length !== count || answer.data.some((item, place) => item?.index !== place)) {
    throw new UpstreamFailure('nonsense', `answered ${count} inputs with ${answer.data.length} results`);
  }
  return answer;
}
