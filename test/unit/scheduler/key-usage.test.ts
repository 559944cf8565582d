import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EmbedJob, TokenizeJob } from '@er-gateway/shared/scheduler-protocol';
import { KeyLabels } from '../../../apps/scheduler/src/key-labels.ts';
import { KeyUsage } from '../../../apps/scheduler/src/key-usage.ts';

const embedJob: EmbedJob = {
  kind: 'embed',
  inputs: ['a', 'b'],
  field: 'input',
  dimensions: null,
  query: null,
  truncation: null,
  addSpecialTokens: true,
};
const tokenizeJob: TokenizeJob = {
  kind: 'tokenize',
  role: 'embedding',
  prompt: '',
  addSpecialTokens: true,
  returnTokenStrs: false,
};

test('work is counted by key and model, and beyond 1,000 keys together', () => {
  const usage = new KeyUsage(new KeyLabels());
  for (let key = 0; key < 1002; key++) usage.add(embedJob, `key-${key}`, 7);
  usage.add(embedJob, 'key-0', 7);
  usage.add(tokenizeJob, 'key-0', 7);
  const rows = usage.rows();
  assert.equal(rows.length, 1001);
  assert.deepEqual(rows[0], { model: 'embedding', key: 'key-0', requests: 2, inputs: 4, tokens: 14 });
  assert.deepEqual(rows.at(-1), { model: 'embedding', key: 'other', requests: 2, inputs: 4, tokens: 14 });
});
