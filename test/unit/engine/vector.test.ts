import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, normalise, relevance } from '../../../apps/engine/src/model/vector.ts';

test('normalise() gives length 1, and leaves zero alone', () => {
  assert.deepEqual([...normalise(Float32Array.of(3, 4))], [...Float32Array.of(0.6, 0.8)]);
  assert.deepEqual([...normalise(Float32Array.of(0, 0))], [0, 0]);
});

test('cut() is the prefix at length 1 again', () => {
  assert.deepEqual([...cut(Float32Array.of(0.3, 0.4, 0.8), 2)], [...Float32Array.of(0.6, 0.8)]);
});

test('relevance() lies between 0 and 1 and rises strictly with the cosine', () => {
  const query = Float32Array.of(1, 0);
  const cosines = Array.from({ length: 201 }, (_, step) => step / 100 - 1);
  const scores = cosines.map(cosine =>
    relevance(query, Float32Array.of(cosine, Math.sqrt(1 - cosine * cosine))),
  );
  for (const [index, score] of scores.entries()) {
    assert.ok(score > 0 && score < 1);
    if (index > 0) assert.ok(score > (scores[index - 1] ?? 1), `at cosine ${cosines[index]}`);
  }
});
