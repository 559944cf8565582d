import type { AdminStatus } from '../admin-status.ts';
import { bytes, decimals, milliseconds, orDash, percent, rate, whole } from './format.ts';
import { type Column, Panel, Share, Table } from './parts.tsx';

type Lane = NonNullable<AdminStatus['lanes']>['embedding'] & {
  role: string;
  recent: AdminStatus['traffic']['batches']['embedding'];
};

const waitingIn = (lane: Lane, priority: 'interactive' | 'bulk') =>
  lane.queue.filter(line => line.priority === priority).reduce((sum, { items }) => sum + items, 0);

const columns: Column<Lane>[] = [
  { title: 'Model', cell: ({ role }) => role },
  { title: 'Waiting', cell: lane => whole(waitingIn(lane, 'interactive')), isNumber: true },
  { title: 'Bulk', cell: lane => whole(waitingIn(lane, 'bulk')), isNumber: true },
  { title: 'Oldest', cell: lane => orDash(lane.oldestWaitMs || null, milliseconds), isNumber: true },
  { title: 'Batches', cell: ({ recent }) => whole(recent.calls), isNumber: true },
  { title: 'Mean size', cell: ({ recent }) => orDash(recent.meanItems, decimals(1)), isNumber: true },
  { title: 'Fill', cell: ({ recent }) => orDash(recent.meanFill, percent), isNumber: true },
  { title: 'Calls at once', cell: lane => whole(lane.slots), isNumber: true },
  {
    title: 'Pace',
    cell: lane => orDash(lane.tokensPerSecond || null, value => `${rate(value)} tokens/s`),
    isNumber: true,
  },
];

/** What waits for the models, the batches that were made of it, and the cache in front. */
export function BatchesPanel({ status: { lanes, cache, traffic } }: { status: AdminStatus }) {
  return (
    <Panel
      title="Queue and batches"
      note={`inputs waiting now; batches of the last ${Math.round(traffic.windowSeconds)} s`}
    >
      {lanes ? (
        <Table
          label="Queue and batches by model"
          columns={columns}
          rows={(['embedding', 'reranker'] as const).map(role => ({
            ...lanes[role],
            role,
            recent: traffic.batches[role],
          }))}
          keyOf={({ role }) => role}
        />
      ) : (
        <p class="warn-text">The scheduler does not answer.</p>
      )}
      {cache &&
        (cache.limitBytes > 0 ? (
          <Share
            label={`Cache, ${whole(cache.entries)} entries`}
            share={cache.bytes / cache.limitBytes}
            text={`${bytes(cache.bytes)} of ${bytes(cache.limitBytes)}`}
          />
        ) : (
          <p class="quiet">The cache is off.</p>
        ))}
    </Panel>
  );
}
