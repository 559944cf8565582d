import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemResult } from '../../../apps/scheduler/src/queue/item.ts';
import { rerankerCanary } from '../../../apps/scheduler/src/upstream/canary.ts';
import type { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';

/** A reranker that gives these scores to a relevant and an irrelevant document. */
function canaryOf(
  scores: [number, number],
  {
    tokens = 160,
    isTemplatedThere = false,
    hasRealWeights = false,
    builtinModel = null as string | null,
  } = {},
) {
  const results: ItemResult[] = scores.map((score, place) => ({ score, tokens: place === 0 ? tokens : 0 }));
  const canary = rerankerCanary({
    wire: () => ({ canJoinJobs: () => true, send: async () => results }),
    inputs: async () =>
      ['a', 'b'].map(document => ({
        input: { kind: 'pair', query: 'q', document, instruction: null },
        tokens: 1,
      })),
    onNumbers: () => {},
    hasRealWeights: () => hasRealWeights,
    isTemplatedThere,
  });
  const upstream = { model: { id: 'm', maxModelLen: null, builtinModel } } as unknown as Upstream;
  return () => canary(upstream, new AbortController().signal);
}

test('a reranker that tells pairs apart may serve', async () => {
  await canaryOf([0.9, 0.1])();
  await canaryOf([0.1, 0.9])(); // random weights know nothing
  await canaryOf([0.9, 0.1], { hasRealWeights: true })();
});

test('one that gives every pair 0.5 may not: its head is not loaded', async () => {
  await assert.rejects(
    canaryOf([0.5, 0.5]),
    /every pair gets the score 0\.500: its head is not loaded.*--hf-overrides/,
  );
});

test('one that fills the template itself and has none may not; the message names the fix', async () => {
  await assert.rejects(
    canaryOf([0.9, 0.1], { tokens: 24, isTemplatedThere: true }),
    /no chat template.*--chat-template supervisor\/templates\/qwen3_reranker\.jinja/,
  );
  await canaryOf([0.9, 0.1], { tokens: 24 })(); // filled by us
  await canaryOf([0.9, 0.1], { tokens: 24, isTemplatedThere: true, builtinModel: 'use' })();
});

test('one with real weights that prefers the irrelevant document may not', async () => {
  await assert.rejects(canaryOf([0.2, 0.3], { hasRealWeights: true }), /its head or its template is wrong/);
});

test('scores that are no probabilities are refused', async () => {
  for (const score of [-0.1, 1.1, Number.NaN])
    await assert.rejects(canaryOf([score, 0.5]), /no probabilities/);
});
