import type { Item, ItemResult } from '../queue/item.ts';
import type { UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { Wire } from './wire.ts';

/**
 * Token ids by one wire, texts by another, which differ in how the server cuts them. A batch goes in as many calls as it must:
 * both kinds wait only around the moment when a model's tokenizer is found.
 */
export function eitherWire(wires: { tokens: Wire; texts: Wire }, hasTokenizer: () => boolean): Wire {
  return {
    canJoinJobs: upstream => (hasTokenizer() ? wires.tokens : wires.texts).canJoinJobs(upstream),
    send: async (upstream, items, signal) => {
      const joinsTexts = wires.texts.canJoinJobs(upstream);
      // Ids without a tokenizer here are the caller's own, and go as its texts do.
      const wireOf = ({ input: { kind } }: Item) =>
        kind === 'parts' || (kind === 'ids' && hasTokenizer()) ? wires.tokens : wires.texts;
      const calls = Map.groupBy(items, item => {
        if (wireOf(item) === wires.tokens) return 'tokens';
        return joinsTexts ? `texts ${JSON.stringify('cut' in item.input && item.input.cut)}` : item.job;
      });
      const results = new Map<Item, ItemResult | UpstreamFailure>();
      for (const group of calls.values()) {
        const answers = await wireOf(group[0] as Item).send(upstream, group, signal);
        for (const [index, item] of group.entries()) {
          const answer = answers[index];
          if (answer !== undefined) results.set(item, answer);
        }
      }
      return items.flatMap(item => results.get(item) ?? []);
    },
  };
}
