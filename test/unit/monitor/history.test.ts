import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorLog } from '../../../apps/monitor/src/error-log.ts';
import { History, historyMs, toHistoryPoint } from '../../../apps/monitor/src/history.ts';
import type { ObservedProcess } from '../../../apps/monitor/src/observer.ts';
import { createTrafficWindow } from '../../../apps/monitor/src/traffic.ts';

const requests = (ok: number, refused: number, failed: number) => ({
  name: 'er_requests_total',
  help: '',
  type: 'counter',
  aggregator: 'sum',
  values: [
    { value: ok, labels: { route: '/v1/embeddings', status: '200' } },
    { value: refused, labels: { route: '/v1/embeddings', status: '429' } },
    { value: failed, labels: { route: '/v1/embeddings', status: '503' } },
    { value: 9999, labels: { route: '/health', status: '200' } },
  ],
});
const observation = (at: number, processes: ObservedProcess[] = []) => ({
  at,
  processes,
  metrics: [],
  exposition: '',
});

test('a point holds the last ten seconds by class of status, or the time since the look before', () => {
  const traffic = createTrafficWindow();
  traffic.add({ at: 0, metrics: [requests(0, 0, 0)] });
  traffic.add({ at: 30_000, metrics: [requests(300, 60, 30)] });
  const sparse = toHistoryPoint(observation(30_000), traffic.recent());
  assert.deepEqual(
    [sparse.okPerSecond, sparse.clientErrorsPerSecond, sparse.serverErrorsPerSecond],
    [10, 2, 1],
  );
  for (let second = 32; second <= 44; second += 2)
    traffic.add({ at: second * 1000, metrics: [requests(300 + (second - 30) * 50, 60, 30)] });
  const dense = toHistoryPoint(observation(44_000), traffic.recent());
  assert.deepEqual([dense.okPerSecond, dense.clientErrorsPerSecond, dense.serverErrorsPerSecond], [50, 0, 0]);
  assert.deepEqual([dense.p50Ms, dense.inFlight, dense.waiting], [null, null, null]);
});

test('one look alone makes a point without rates', () => {
  const traffic = createTrafficWindow();
  traffic.add({ at: 0, metrics: [requests(5, 5, 5)] });
  assert.equal(toHistoryPoint(observation(0), traffic.recent()).okPerSecond, 0);
});

test('points older than a quarter of an hour are forgotten', () => {
  const history = new History();
  const point = (at: number) => ({ ...toHistoryPoint(observation(at), createTrafficWindow().recent()), at });
  for (const at of [0, 1000, historyMs + 500]) history.add(point(at));
  assert.deepEqual(
    history.points.map(({ at }) => at),
    [1000, historyMs + 500],
  );
  assert.equal(history.latest?.at, historyMs + 500);
});

test('errors of workers that have ended are remembered, the newest of each kind', () => {
  const log = new ErrorLog();
  const worker = (pid: number, ...errors: [at: number, code: string][]): ObservedProcess => ({
    app: 'gateway',
    pid,
    since: 0,
    answers: true,
    status: {
      lastErrors: errors.map(([at, code]) => ({
        at,
        code,
        status: 400,
        route: '/v1/embeddings',
        message: `by ${pid}`,
        requestId: '',
        keyName: null,
      })),
    },
  });
  log.add([worker(1, [10, 'a'], [30, 'b']), worker(2, [20, 'a'])]);
  log.add([worker(3, [5, 'a']), { ...worker(4), status: null }]);
  assert.deepEqual(
    log.list().map(({ at, code, message }) => [at, code, message]),
    [
      [30, 'b', 'by 1'],
      [20, 'a', 'by 2'],
    ],
  );
});
