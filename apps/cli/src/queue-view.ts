import { roles } from '@er-gateway/shared/config/schema';
import type { LaneStatus, SchedulerInspection, UpstreamStatus } from '@er-gateway/shared/scheduler-protocol';
import { table } from './table.ts';

/** The scheduler's queue for people: each model, what waits for whom, each server. `nameOf` names a key id. */
export function queueView(seen: SchedulerInspection, nameOf: (keyId: string) => string): string {
  const { cache, inFlight, concurrency } = seen;
  const waiting = roles.flatMap(role => seen.lanes[role].queue.map(line => ({ role, ...line })));
  const servers = roles.flatMap(role => seen.models[role].upstreams.map(upstream => ({ role, upstream })));
  return [
    `${inFlight} of ${concurrency} requests in flight; cache: ${cache.entries} results, ${megabytes(cache.bytes)} MB`,
    '',
    table(
      ['model', 'waiting', 'tokens', 'oldest', 'calls at once', 'window', 'mean batch', 'tokens/s'],
      roles.map(role => [role, ...laneCells(seen.lanes[role])]),
    ),
    '',
    waiting.length === 0
      ? 'Nothing waits.'
      : table(
          ['model', 'key', 'priority', 'waiting', 'tokens'],
          waiting.map(({ role, keyId, priority, items, tokens }) => [
            role,
            nameOf(keyId),
            priority,
            `${items}`,
            `${tokens}`,
          ]),
        ),
    '',
    table(
      ['server', 'model', 'state', 'breaker', 'calls', 'tokens', 'latency'],
      servers.map(({ role, upstream }) => serverCells(role, upstream)),
    ),
  ].join('\n');
}

function laneCells(lane: LaneStatus): string[] {
  return [
    `${lane.waitingItems}`,
    `${lane.waitingTokens}`,
    milliseconds(lane.oldestWaitMs),
    `${lane.slots}`,
    milliseconds(lane.windowMs),
    lane.meanBatch.toFixed(1),
    lane.tokensPerSecond === 0 ? 'not seen yet' : lane.tokensPerSecond.toFixed(0),
  ];
}

function serverCells(role: string, upstream: UpstreamStatus): string[] {
  return [
    new URL(upstream.url).host,
    role,
    upstream.isReady ? 'ready' : (upstream.reason ?? 'not ready'),
    upstream.isBreakerOpen ? 'open' : 'closed',
    `${upstream.inFlight}`,
    `${upstream.outstandingTokens}`,
    milliseconds(upstream.latencyMs),
  ];
}

const milliseconds = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const megabytes = (bytes: number) => Math.round(bytes / 1024 ** 2);
