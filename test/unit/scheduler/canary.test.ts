import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemResult } from '../../../apps/scheduler/src/queue/item.ts';
import { rerankerCanary } from '../../../apps/scheduler/src/upstream/canary.ts';
import type { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { UpstreamFailure } from '../../../apps/scheduler/src/upstream/upstream-failure.ts';

/** A reranker that gives these scores to a relevant and an irrelevant document, and to our own prompts of them. */
function canaryOf(
  scores: [number, number],
  {
    tokens = 160,
    written = { scores, tokens } as { scores: number[]; tokens: number } | null,
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
    isTemplatedThere: () => isTemplatedThere,
    prompts: ['prompt of a', 'prompt of b'],
  });
  const post = async (path: string, body: string) => {
    assert.equal(path, '/classify');
    assert.deepEqual(JSON.parse(body), { model: 'm', input: ['prompt of a', 'prompt of b'] });
    if (written === null) throw new UpstreamFailure('status', 'answered /classify with 404', { status: 404 });
    const data = written.scores.map((score, index) => ({ index, probs: [score] }));
    return [Buffer.from(JSON.stringify({ data, usage: { prompt_tokens: written.tokens } }))];
  };
  const upstream = { model: { id: 'm', maxModelLen: null, builtinModel }, post } as unknown as Upstream;
  return () => canary(upstream, new AbortController().signal);
}

test('a reranker that tells pairs apart may serve', async () => {
  await canaryOf([0.9, 0.1])();
  await canaryOf([0.1, 0.9])(); // random weights know nothing
  await canaryOf([0.9, 0.01], { hasRealWeights: true })();
  await canaryOf([0.4, 0.45], { isTemplatedThere: true })();
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

test('one with real weights that is not sure of the relevant document, or of the irrelevant one, may not', async () => {
  for (const scores of [
    [0.2, 0.3],
    [0.4, 0.01],
    [0.9, 0.2],
  ] as [number, number][])
    await assert.rejects(canaryOf(scores, { hasRealWeights: true }), /its head or its template is wrong/);
});

test('one without a folder here may not tell the opposite', async () => {
  await assert.rejects(
    canaryOf([0.01, 0.9], { isTemplatedThere: true }),
    /relevant document scores 0\.010, .*--hf-overrides/,
  );
});

test('one whose template is not Qwen’s may not: our own prompts get other scores or have other tokens', async () => {
  for (const written of [
    { scores: [0.5, 0.1], tokens: 160 },
    { scores: [0.9, 0.1], tokens: 162 },
  ])
    await assert.rejects(
      canaryOf([0.9, 0.1], { isTemplatedThere: true, written }),
      /its chat template is not Qwen's.*--chat-template/,
    );
  await canaryOf([0.9, 0.1], {
    isTemplatedThere: true,
    written: { scores: [0.905, 0.095], tokens: 160 },
  })();
});

test('one that runs as an embedding model may not, whatever its cosines are', async () => {
  await assert.rejects(
    canaryOf([0.9, 0.1], { isTemplatedThere: true, written: null, tokens: 24 }),
    /does not run as a reranker.*--hf-overrides/,
  );
});

test('scores that are no probabilities are refused', async () => {
  for (const score of [-0.1, 1.1, Number.NaN])
    await assert.rejects(canaryOf([score, 0.5]), /no probabilities/);
});
