import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { writeModelProcessStatus } from '@er-gateway/shared/model-process-status';
import type { HistoryPoint } from '../../apps/monitor/src/history.ts';
import type { ModelsEvent, StatusEvent } from '../../apps/monitor/src/status-stream.ts';
import { fakeVllmSettings } from '../kit/fake-vllm.ts';
import { waitFor } from '../kit/wait-for.ts';
import { openEvents } from './monitor/events.ts';
import { ask, createHost, type Host } from './monitor/processes.ts';

let host: Host;
let socket: string;
beforeEach(async () => {
  host = await createHost();
  socket = runPaths.monitor(host.runDir);
});
afterEach(() => host.stop());

/** Every series of /metrics with its value: `er_requests_total{route="…",status="200"}`. */
async function series(): Promise<Map<string, number>> {
  const { status, body } = await ask(socket, '/metrics');
  assert.equal(status, 200);
  const lines = body.split('\n').filter(line => line !== '' && !line.startsWith('#'));
  return new Map(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

const requests = 'er_requests_total{route="/v1/embeddings",status="200"}';
const processesOf = (app: string) => `er_processes{app="${app}"}`;

/** Waits for a scrape in which the series have these values (a scrape is kept for a second); undefined: not there. */
async function untilSeries(expected: Record<string, number | undefined>): Promise<Map<string, number>> {
  return waitFor(`series ${JSON.stringify(expected)}`, async () => {
    const now = await series();
    return Object.entries(expected).every(([name, value]) => now.get(name) === value) && now;
  });
}

/** Counters and histograms of `before` that are smaller or missing in `after`. */
function wentBack(before: Map<string, number>, after: Map<string, number>): string[] {
  const isCounter = (name: string) => /_(total|count|sum|bucket)(\{|$)/.test(name);
  return [...before]
    .filter(([name, value]) => isCounter(name) && (after.get(name) ?? -1) < value)
    .map(([name, value]) => `${name}: ${value} -> ${after.get(name)}`);
}

test('no counter goes back when processes are killed with -9, stopped, and replaced by others', async () => {
  const [first, second, third] = await Promise.all([1, 2, 3].map(() => host.start('gateway')));
  await host.startMonitor();
  await first?.count(10);
  await second?.count(20);
  await third?.count(30);
  const all = await untilSeries({ [requests]: 60, er_requests_in_flight: 60, [processesOf('gateway')]: 3 });
  assert.equal(all.get('er_request_duration_seconds_count{route="/v1/embeddings"}'), 60);

  await first?.end('SIGKILL');
  const afterKill = await untilSeries({
    [requests]: 60,
    er_requests_in_flight: 50,
    [processesOf('gateway')]: 2,
  });
  assert.deepEqual(wentBack(all, afterKill), []);
  assert.equal(
    readdirSync(runPaths.controlDir(host.runDir)).some(name => name === `gateway-${first?.pid}.sock`),
    false,
    'the socket of the killed process is removed',
  );

  const successor = await host.start('gateway');
  await successor.count(5);
  const afterSuccessor = await untilSeries({ [requests]: 65, er_requests_in_flight: 55 });
  assert.deepEqual(wentBack(afterKill, afterSuccessor), []);

  await second?.end('SIGTERM');
  const afterStop = await untilSeries({ [requests]: 65, er_requests_in_flight: 35 });
  assert.deepEqual(wentBack(afterSuccessor, afterStop), []);
});

test('what a process counted since the last look counts when it ends by itself, with a monitor and without', async () => {
  const [first, second] = [await host.start('gateway'), await host.start('gateway')];
  const monitor = await host.startMonitor();
  await untilSeries({ [processesOf('gateway')]: 2 });
  await first.count(7);
  await first.end('SIGTERM');
  await untilSeries({ [requests]: 7, [processesOf('gateway')]: 1 });
  await series();
  const left = () => readdirSync(runPaths.controlDir(host.runDir)).filter(name => name.includes('.last.'));
  assert.deepEqual(left(), [], 'counted, and removed');

  await second.count(8);
  assert.equal(await monitor.end('SIGTERM'), 0);
  await second.count(9);
  await second.end('SIGTERM');
  assert.equal(left().length, 2, 'of the monitor and the other one');
  await host.startMonitor();
  await untilSeries({ [requests]: 24 });
  await untilSeries({ [requests]: 24 });
  assert.deepEqual(left(), []);
});

test('a monitor looks once more before it ends', async () => {
  const killed = await host.start('gateway');
  const monitor = await host.startMonitor();
  await untilSeries({ [processesOf('gateway')]: 1 });
  await delay(1100);
  await killed.count(5);
  await monitor.end('SIGTERM');
  await killed.end('SIGKILL');
  await host.startMonitor();
  await untilSeries({ [requests]: 5 });
});

test('no counter goes back when the monitor is killed with -9, and a process with it while it is away', async () => {
  const killed = await host.start('gateway');
  const kept = await host.start('gateway');
  const monitor = await host.startMonitor();
  await killed.count(7);
  await kept.count(8);
  const before = await untilSeries({ [requests]: 15 });

  await monitor.end('SIGKILL');
  await killed.end('SIGKILL');
  await host.startMonitor();
  const after = await series();
  assert.deepEqual(wentBack(before, after), []);
  assert.equal(after.get(requests), 15);
  await kept.count(1);
  await untilSeries({ [requests]: 16, er_requests_in_flight: 9 });
});

test('a process that hangs costs one second, keeps its counters, and shows as silent until it is back', async () => {
  const hanging = await host.start('gateway');
  const other = await host.start('gateway');
  await host.startMonitor();
  await hanging.count(4);
  await other.count(3);
  await untilSeries({ [requests]: 7 });

  hanging.signal('SIGSTOP');
  await untilSeries({ [requests]: 7, er_requests_in_flight: 3, [processesOf('gateway')]: 1 });
  const { body } = await ask(socket, '/admin/status');
  const gateway = JSON.parse(body).apps.find((app: { app: string }) => app.app === 'gateway');
  assert.equal(gateway.answering, 1);
  assert.equal(gateway.processes.find(({ pid }: { pid: number }) => pid === hanging.pid).answers, false);

  hanging.signal('SIGCONT');
  await untilSeries({ [requests]: 7, er_requests_in_flight: 7, [processesOf('gateway')]: 2 });
});

test('many who ask at once share one scrape', async () => {
  await host.start('gateway');
  await host.startMonitor();
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(socket, '/admin/status')));
  assert.equal(new Set(answers.map(({ body }) => JSON.parse(body).at)).size, 1);
});

test('/admin/status shows apps, models, GPUs and the host', async () => {
  const model = (role: string, isReady: boolean) => ({
    role,
    servedName: role,
    engine: 'builtin',
    modelName: 'universal-sentence-encoder-lite',
    engineLabel: 'builtin',
    isReady,
    reason: isReady ? null : 'loading weights',
    maxModelLen: 512,
    upstreams: [{ url: 'http://127.0.0.1:8000', isReady, reason: null, inFlight: 2 }],
  });
  await host.start('scheduler', {
    models: { embedding: model('embedding', true), reranker: model('reranker', false) },
    inFlight: 17,
    concurrency: 500,
  });
  const gateway = await host.start('gateway');
  writeModelProcessStatus(runPaths.modelStatus(host.runDir, 'reranker'), {
    app: 'reranker',
    role: 'reranker',
    engine: 'builtin',
    state: 'loading',
    since: Date.now(),
    detail: 'loading weights 1/2',
    lastError: null,
    supervisorPid: gateway.pid,
    pid: null,
    port: 8001,
    gpu: null,
    gpuMemoryShare: null,
    failedStarts: 0,
    startedAt: null,
    nextStartAt: null,
    usualLoadMs: 1000,
    logFile: 'reranker_model.log',
  });
  await host.startMonitor({
    programs: { 'nvidia-smi': '#!/bin/sh\necho "0, 35, 1024, 81559, 41, 120.5, NVIDIA H200"\n' },
  });
  const { status, headers, body } = await ask(socket, '/admin/status');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json');
  const shown = JSON.parse(body);
  assert.equal(shown.isReady, false);
  assert.deepEqual(shown.concurrency, { inFlight: 17, limit: 500 });
  const apps = shown.apps.map(({ app, expected, answering }: Record<string, unknown>) => [
    app,
    expected,
    answering,
  ]);
  assert.deepEqual(apps, [
    ['gateway', 2, 1],
    ['scheduler', 1, 1],
    ['state', 1, 0],
    ['monitor', 1, 1],
    ['embedding', 1, 0],
    ['reranker', 1, 0],
  ]);
  assert.equal(shown.models[0].isReady, true);
  assert.equal(shown.models[1].reason, 'loading weights');
  assert.equal(shown.models[1].processes[0].detail, 'loading weights 1/2');
  assert.equal(shown.models[1].processes[0].isSupervised, true);
  assert.equal(shown.gpus[0].name, 'NVIDIA H200');
  assert.equal(shown.gpus[0].utilization, 0.35);
  assert.ok(shown.system.memory.totalBytes > shown.system.memory.availableBytes);

  const hostSeries = await untilSeries({
    'er_gpu_utilization{gpu="0"}': 0.35,
    er_host_memory_total_bytes: shown.system.memory.totalBytes,
  });
  const hostMetric = (name: string) => hostSeries.get(`er_host_${name}`) ?? Number.NaN;
  assert.equal(hostMetric('cpus'), shown.system.cpu.cores);
  assert.ok(hostMetric('cpu_utilization') >= 0 && hostMetric('cpu_utilization') <= 1);
  assert.ok(hostMetric('network_received_bytes_total') >= 0 && hostMetric('network_sent_bytes_total') >= 0);
  assert.equal(hostSeries.get('er_gpu_memory_used_bytes{gpu="0"}'), 1024 * 1024 ** 2);
  assert.equal(hostSeries.get('er_gpu_power_watts{gpu="0"}'), 120.5);

  await gateway.end('SIGKILL');
  await waitFor('the supervisor to be seen gone', async () => {
    const later = JSON.parse((await ask(socket, '/admin/status')).body);
    return later.models[1].processes[0].isSupervised === false;
  });
});

test('two replicas of a model are two processes of one app, and no app is missed', async () => {
  for (const app of ['gateway', 'gateway', 'scheduler', 'state', 'embedding', 'embedding', 'reranker'])
    await host.start(app);
  await host.startMonitor({ env: { ...fakeVllmSettings(host.runDir), ER_MODELS_EMBEDDING_REPLICAS: '2' } });
  await untilSeries({ 'er_processes_expected{app="embedding"}': 2, [processesOf('embedding')]: 2 });
  const { apps } = JSON.parse((await ask(socket, '/admin/status')).body);
  const missed = apps.filter(
    ({ answering, expected }: Record<string, number>) => Number(answering) < Number(expected),
  );
  assert.deepEqual(missed, []);
  assert.equal(apps.length, 6);
});

test('the loopback port refuses pages of other names and other sites; the socket behind the gateway does not', async () => {
  await host.startMonitor();
  const own = { host: `localhost:${host.port}` };
  const statusOf = async (headers: Record<string, string>) =>
    (await ask(host.port, '/metrics', { headers })).status;
  assert.equal(await statusOf(own), 200);
  assert.equal(await statusOf({ host: `127.0.0.1:${host.port}` }), 200);
  assert.equal(await statusOf({ ...own, 'sec-fetch-site': 'same-origin' }), 200);
  assert.equal(await statusOf({ host: `rebound.example:${host.port}` }), 403);
  assert.equal(await statusOf({ host: 'localhost' }), 403);
  assert.equal(await statusOf({ ...own, 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await statusOf({ ...own, 'sec-fetch-site': 'same-site' }), 403);

  const refused = await ask(host.port, '/admin/status', { headers: { host: 'rebound.example' } });
  const { error } = JSON.parse(refused.body);
  assert.deepEqual([error.type, error.param, error.code], ['permission_error', null, 'permission_denied']);
  assert.equal((await ask(socket, '/metrics', { headers: { host: 'gateway.example' } })).status, 200);
});

test('the socket is for this user alone, and one that a killed monitor left is replaced', async () => {
  const monitor = await host.startMonitor();
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  await monitor.end('SIGKILL');
  assert.ok(statSync(socket).isSocket(), 'left behind');
  const successor = await host.startMonitor();
  assert.equal((await ask(socket, '/metrics')).status, 200);
  assert.equal(await successor.end('SIGTERM'), 0);
  assert.deepEqual(
    readdirSync(host.runDir).filter(name => name.endsWith('.sock')),
    [],
  );
  const left = readdirSync(join(host.runDir, 'control'));
  assert.deepEqual(
    left.filter(name => !name.endsWith('.last.json')),
    [],
  );
});

test('a taken port costs one line in the log: the socket is served', async () => {
  const other = createServer();
  await new Promise<void>(resolve => other.listen(host.port, '127.0.0.1', resolve));
  try {
    const monitor = await host.startMonitor();
    assert.equal((await ask(socket, '/dashboard')).status, 200);
    assert.equal(monitor.log().match(/cannot be opened/g)?.length, 1);
    assert.match(monitor.log(), new RegExp(`monitor.port ${host.port} .*another program has it`));
    assert.ok(monitor.isRunning());
  } finally {
    await new Promise(resolve => other.close(resolve));
  }
});

test('unknown pages and other methods get the error envelope', async () => {
  await host.startMonitor();
  const unknown = await ask(socket, '/admin/nothing?x=1');
  assert.equal(unknown.status, 404);
  assert.equal(JSON.parse(unknown.body).error.code, 'not_found');
  assert.equal((await ask(socket, '/constructor')).status, 404);
  const posted = await ask(socket, '/metrics', { method: 'POST' });
  assert.equal(posted.status, 405);
  assert.equal(posted.headers.allow, 'GET, HEAD');
  assert.equal(JSON.parse(posted.body).error.code, 'method_not_allowed');
  const head = await ask(socket, '/dashboard', { method: 'HEAD' });
  assert.deepEqual([head.status, head.body], [200, '']);
});

test('the dashboard is a page with its own script and style, and a policy that lets nothing else run', async () => {
  await host.startMonitor();
  const { headers, body } = await ask(socket, '/dashboard?api_key=x');
  assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  const policy = `${headers['content-security-policy']}`;
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|sha256/);
  assert.doesNotMatch(body, /https?:|<style|<script>|style=| on\w+=/);
  for (const [path, type] of [
    ['/dashboard/assets/page.js', 'text/javascript; charset=utf-8'],
    ['/dashboard/assets/page.css', 'text/css; charset=utf-8'],
  ] as const) {
    const asset = await ask(socket, path);
    assert.deepEqual([asset.status, asset.headers['content-type']], [200, type]);
    assert.ok(body.includes(path.slice(1)), path);
    assert.doesNotMatch(asset.body, /@import|url\((?!data:)/);
  }
  const slash = await ask(socket, '/dashboard/');
  assert.deepEqual([slash.status, slash.headers.location], [308, '../dashboard']);
  const login = await ask(socket, '/dashboard/login');
  assert.equal(login.status, 401);
  assert.match(login.body, /<body data-login>/);
});

test('the stream begins with history and status, goes on, and tells of a change of the models within two seconds', async () => {
  const model = (role: string) => ({
    role,
    servedName: role,
    engine: 'builtin',
    modelName: role,
    engineLabel: 'builtin',
    isReady: true,
    reason: null,
    maxModelLen: 512,
    upstreams: [],
  });
  const scheduler = await host.start('scheduler', {
    models: { embedding: model('embedding'), reranker: model('reranker') },
    inFlight: 3,
    concurrency: 500,
  });
  const monitor = await host.startMonitor();
  const stream = openEvents(socket);
  const first = await waitFor('the first status', () => stream.events.find(({ name }) => name === 'status'));
  assert.deepEqual(stream.events[0]?.name, 'history');
  assert.equal(stream.headers()['content-type'], 'text/event-stream');
  assert.equal(stream.headers()['cache-control'], 'no-store');
  assert.equal((first.data as StatusEvent).status.concurrency.inFlight, 3);
  const { apps } = (first.data as StatusEvent).status;
  assert.deepEqual(
    apps.flatMap(({ processes }) => processes.map(({ status }) => status)),
    [null, null],
    'what the page does not show is not sent',
  );
  const points = stream.events[0]?.data as HistoryPoint[];
  assert.equal(points.at(-1)?.inFlight, 3);

  await scheduler.end('SIGKILL');
  const begin = performance.now();
  await waitFor('the loss of the scheduler', () =>
    stream.events.some(
      ({ name, data }) =>
        name === 'models' && (data as ModelsEvent)[0]?.reason === 'the scheduler does not answer',
    ),
  );
  assert.ok(performance.now() - begin < 2500, `${performance.now() - begin} ms`);
  const later = await waitFor('a later status', () =>
    stream.events.findLast(({ name, data }) => name === 'status' && (data as StatusEvent).point !== null),
  );
  assert.ok(((later.data as StatusEvent).point?.at ?? 0) > (points.at(-1)?.at ?? 0));

  assert.equal(await monitor.end('SIGTERM'), 0);
  assert.equal(await stream.end, 'complete');
});

test('watchers that leave while their stream is opened give their places back', async () => {
  const hanging = await host.start('gateway');
  await host.startMonitor();
  await series();
  // Whoever looks at the processes from then on waits a second.
  hanging.signal('SIGSTOP');
  await delay(1100);
  const streams = Array.from({ length: 100 }, () => openEvents(socket));
  await delay(500);
  for (const { leave } of streams) leave();
  hanging.signal('SIGCONT');
  await Promise.all(streams.map(({ end }) => end));
  await delay(1100);
  const late = openEvents(socket);
  await waitFor('the first events', () => late.events.length > 1);
  assert.equal(late.headers()['content-type'], 'text/event-stream');
  late.leave();
});

test('/dashboard/events answers HEAD, and refuses the 101st watcher until one leaves', async () => {
  await host.startMonitor();
  const head = await ask(socket, '/dashboard/events', { method: 'HEAD' });
  assert.deepEqual([head.status, head.body], [200, '']);
  const streams = Array.from({ length: 100 }, () => openEvents(socket));
  await waitFor('100 streams', () => streams.every(({ events }) => events.length > 0));
  assert.equal((await ask(socket, '/dashboard/events')).status, 503);
  streams[0]?.leave();
  const late = await waitFor('a free place', async () => {
    const stream = openEvents(socket);
    await waitFor('an answer', () => stream.headers()['content-type']);
    return stream.headers()['content-type'] === 'text/event-stream' && stream;
  });
  for (const { leave } of [...streams, late]) leave();
});
