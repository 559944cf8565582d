import { UpstreamFailure } from '../upstream/upstream-failure.ts';

/** What vLLM's answers to several inputs have in common. */
export interface ListAnswer {
  data: { index: number }[];
}

/** The answer with its items in the order of the inputs. Throws UpstreamFailure when some are missing. */
export function parseList<Answer extends ListAnswer>(pieces: readonly Buffer[], count: number): Answer {
  let answer: Answer;
  try {
    answer = JSON.parse(pieces.map(piece => piece.toString('latin1')).join('')) as Answer;
    answer.data.sort((a, b) => a.index - b.index);
  } catch (error) {
    throw new UpstreamFailure('nonsense', 'answered with something that is no list of results', {
      cause: error,
    });
  }
  if (answer.data.length !== count || answer.data.some(({ index }, place) => index !== place)) {
    throw new UpstreamFailure('nonsense', `answered ${count} inputs with ${answer.data.length} results`);
  }
  return answer;
}
