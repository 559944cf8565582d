import type { RankingQuality } from '@er-gateway/shared/scheduler-protocol';

/** Ranks that nDCG looks at. */
const depth = 10;

/**
 * How good a ranking was. `ranking`: indexes of documents, the best first, each once; `relevant`: those that were of use,
 * at least one of them in the ranking. Relevance is yes or no (gains of 1), discounts are 1 / log2(rank + 1) (Järvelin
 * and Kekäläinen 2002).
 */
export function rankingQuality(ranking: readonly number[], relevant: ReadonlySet<number>): RankingQuality {
  const firstRank = ranking.findIndex(index => relevant.has(index)) + 1;
  let gain = 0;
  let idealGain = 0;
  for (let rank = 1; rank <= depth; rank++) {
    const discount = 1 / Math.log2(rank + 1);
    if (relevant.has(ranking[rank - 1] as number)) gain += discount;
    if (rank <= relevant.size) idealGain += discount;
  }
  return { reciprocalRank: 1 / firstRank, ndcgAt10: gain / idealGain, precisionAt1: firstRank === 1 ? 1 : 0 };
}

/** Indexes of scores from the best to the worst, equal ones in their order: as rerank answers show them. */
export function rankingOf(scores: readonly number[]): number[] {
  return scores.map((_, index) => index).sort((a, b) => (scores[b] as number) - (scores[a] as number));
}
