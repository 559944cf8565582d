import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type OtlpCollector, startOtlpCollector } from '../kit/otlp-collector.ts';
import { projectRoot, type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

let collector: OtlpCollector;
let stack: Stack;
before(async () => {
  collector = await startOtlpCollector();
  stack = await startStack({ env: { ER_TRACING_URL: collector.url } });
});
after(async () => {
  await stack?.stop();
  await collector?.close();
});

test('built workers load what traces from a bundle of its own, and trace', async () => {
  const bundle = (name: string) => readFileSync(join(projectRoot, 'dist/gateway', name), 'utf8');
  assert.ok(!bundle('main.cjs').includes('OTLPTraceExporter'), 'workers that do not trace stay light');
  assert.ok(bundle('tracing.cjs').includes('OTLPTraceExporter'));

  const answer = await fetch(`${stack.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ input: 'Hello' }),
  });
  const id = answer.headers.get('x-request-id');
  await waitFor('its span', () => collector.spans.some(span => span.attributes['er.request_id'] === id));
});
