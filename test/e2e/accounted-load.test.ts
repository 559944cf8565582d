import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { searchAudit } from '@er-gateway/shared/audit/search-audit';
import { verifyAudit } from '@er-gateway/shared/audit/verify-audit';
import { Agent, request } from 'undici';
import { fakeVllmSettings } from '../kit/fake-vllm.ts';
import { startLoad } from '../kit/load.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const concurrency = 500;
const refusedWanted = 2000;
/** 60 for the long form: `ER_TEST_LOAD_SECONDS=60 npm test -- test/e2e/accounted-load.test.ts`. */
const seconds = Number(process.env.ER_TEST_LOAD_SECONDS ?? 0);

const folder = mkdtempSync(join(tmpdir(), 'er-load-'));
let stack: Stack;

before(async () => {
  const env = fakeVllmSettings(folder, {
    ER_LIMITS_REQUESTS_PER_MINUTE: '100000000',
    ER_LIMITS_CONCURRENCY: String(concurrency),
    FAKE_VLLM_STEP_MS: '500',
  });
  stack = await startStack({ workers: 2, env });
});
after(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true });
});

test('500 at once and 2,000 refused: sent = answered = audited = counted, for every one of them', async () => {
  const dispatcher = new Agent({ connections: concurrency + refusedWanted, pipelining: 1 });
  const statuses: Record<number, number> = {};
  let sent = 0;
  const send = async () => {
    const id = `accounted-${sent++}`;
    const answer = await request(`${stack.url}/v1/embeddings`, {
      method: 'POST',
      dispatcher,
      headers: {
        authorization: `Bearer ${stack.key}`,
        'content-type': 'application/json',
        'x-request-id': id,
      },
      body: JSON.stringify({ input: id }),
    });
    await answer.body.dump();
    statuses[answer.statusCode] = (statuses[answer.statusCode] ?? 0) + 1;
  };
  const endsAt = performance.now() + seconds * 1000;
  do {
    await Promise.all(Array.from({ length: concurrency + refusedWanted }, send));
  } while (performance.now() < endsAt);
  await dispatcher.close();

  const { 200: answered = 0, 503: refused = 0, ...others } = statuses;
  assert.deepEqual(others, {});
  assert.equal(answered + refused, sent);
  assert.ok(answered >= concurrency, `${answered} were answered with 200`);
  assert.ok(refused > 0, 'the cap was reached');

  const trail = join(stack.logsDir, 'audit');
  const lines = await searchAudit(trail, { route: '/v1/embeddings', limit: sent * 2 });
  const ids = lines.map(({ request_id }) => request_id).filter(id => id?.startsWith('accounted-'));
  assert.deepEqual([ids.length, new Set(ids).size], [sent, sent], 'one line each');
  const audited = (status: number) => lines.filter(line => line.status === status).length;
  assert.deepEqual([audited(200), audited(503)], [answered, refused]);
  assert.deepEqual((await verifyAudit(trail)).problems, []);

  await waitFor(
    'the metrics',
    async () => (await counted(200)) === answered && (await counted(503)) === refused,
  );
});

test('across a reload under load too: what workers that ended had counted is not lost', async t => {
  const load = startLoad({
    ...stack,
    connections: 8,
    until: t.signal,
    body: id => ({ input: `about ${id}` }),
  });
  await load.answersMore(20);
  const { code, output } = await stack.run('reload');
  assert.equal(code, 0, output);
  await load.answersMore(20);
  assert.deepEqual((await load.stop()).failures, []);
  const lines = await searchAudit(join(stack.logsDir, 'audit'), {
    route: '/v1/embeddings',
    status: 200,
    limit: 1_000_000,
  });
  await waitFor(`${lines.length} in the metrics`, async () => (await counted(200)) === lines.length);
  // Not on its way to more: the next look says the same.
  await delay(1100);
  assert.equal(await counted(200), lines.length);
});

/** Answers of /v1/embeddings with this status, by the metrics. */
async function counted(status: number): Promise<number> {
  const page = await (await fetch(`${stack.monitorUrl}/metrics`)).text();
  const series = new RegExp(`^er_requests_total\\{route="/v1/embeddings",status="${status}"\\} (\\d+)$`, 'm');
  return Number(series.exec(page)?.[1]);
}
