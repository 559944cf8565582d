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

const quote = 0x22;

/**
 * The same, for items that have float32 in base64 under `field`: bytes stand there afterwards, or what is no text. The texts are
 * taken out before the rest is parsed: as a part of one text, 200 kB for 36 vectors, they were copied three times to where
 * only a large collection frees them. Quotes in JSON's texts are escaped, so `"field":"` begins one of them and nothing else;
 * in JSON that is written with spaces they are decoded after parsing.
 */
export function parseVectors<Answer extends ListAnswer>(body: Buffer, field: string, count: number): Answer {
  const beginning = `"${field}":"`;
  const vectors: Uint8Array[] = [];
  let rest = '';
  let from = 0;
  for (let at = body.indexOf(beginning); at >= 0; at = body.indexOf(beginning, from)) {
    const start = at + beginning.length;
    const end = body.indexOf(quote, start);
    if (end < 0) break;
    vectors.push(bytesOfBase64(body.toString('latin1', start, end)));
    rest += body.toString('latin1', from, start);
    from = end;
  }
  rest += body.toString('latin1', from);
  let next = 0;
  const answer = parse<Answer>(rest, count, item => {
    const value = item[field];
    if (typeof value === 'string') item[field] = value === '' ? vectors[next++] : bytesOfBase64(value);
  });
  if (next !== vectors.length) throw nonsense();
  return answer;
}

/** `see` is shown each item, in the order in which they are written. */
function parse<Answer extends ListAnswer>(
  json: string,
  count: number,
  see: (item: Record<string, unknown>) => void = () => {},
): Answer {
  let answer: Answer;
  try {
    answer = JSON.parse(json) as Answer;
    for (const item of answer.data) see(item as unknown as Record<string, unknown>);
    answer.data.sort((a, b) => a.index - b.index);
  } catch (error) {
    throw nonsense(error);
  }
  if (answer.data.length !== count || answer.data.some(({ index }, place) => index !== place)) {
    throw new UpstreamFailure('nonsense', `answered ${count} inputs with ${answer.data.length} results`);
  }
  return answer;
}

const nonsense = (cause?: unknown) =>
  new UpstreamFailure('nonsense', 'answered with something that is no list of results', { cause });
