import type { DashboardKeys } from '@er-gateway/shared/dashboard-keys';
import { useEffect, useState } from 'preact/hooks';
import type { AdminStatus } from '../admin-status.ts';
import { readKeys } from './connection.ts';
import { orDash, unknown, whole } from './format.ts';
import { type Column, Panel, Table } from './parts.tsx';

type Usage = AdminStatus['keys'][number];
type Key = DashboardKeys['keys'][number];

/** A key that is there, one that was used, or both. */
interface Row {
  id: string;
  key: Key | null;
  usage: Usage | null;
}

const refreshMs = 15_000;

/** Every key with what it may do and what it did: used ones first, the busiest on top. */
export function KeysPanel({ status }: { status: AdminStatus }) {
  const list = useKeys();
  const known = new Map(list?.keys.map(key => [key.id, key]));
  const used: Row[] = status.keys.map(usage => ({ id: usage.key, usage, key: known.get(usage.key) ?? null }));
  const idle: Row[] = [...known.values()]
    .filter(({ id }) => !used.some(row => row.id === id))
    .map(key => ({ id: key.id, key, usage: null }));
  const usual = list?.usual_requests_per_minute ?? null;
  const columns: Column<Row>[] = [
    { title: 'Key', cell: ({ id, key }) => key?.name ?? id },
    { title: 'Role', cell: ({ key }) => (key ? `${key.role}${key.is_expired ? ', expired' : ''}` : unknown) },
    { title: 'Requests/min', cell: ({ usage }) => whole(usage?.recent.requests ?? 0), isNumber: true },
    {
      title: 'Limit/min',
      cell: ({ key }) => orDash(key && (key.requests_per_minute ?? usual), whole),
      isNumber: true,
    },
    { title: 'Inputs/min', cell: ({ usage }) => whole(usage?.recent.inputs ?? 0), isNumber: true },
    { title: 'Tokens/min', cell: ({ usage }) => whole(usage?.recent.tokens ?? 0), isNumber: true },
    { title: 'Requests in all', cell: ({ usage }) => whole(usage?.total.requests ?? 0), isNumber: true },
    { title: 'Tokens in all', cell: ({ usage }) => whole(usage?.total.tokens ?? 0), isNumber: true },
  ];
  const rows = [...used, ...idle];
  return (
    <Panel
      title="Keys"
      note={`answered by the models in the last ${Math.round(status.traffic.windowSeconds)} s`}
    >
      {rows.length > 0 ? (
        <Table label="Keys and their use" columns={columns} rows={rows} keyOf={({ id }) => id} />
      ) : (
        <p class="quiet">No key has used a model yet.</p>
      )}
    </Panel>
  );
}

/** The keys by name, asked for now and then; null while nobody tells. */
function useKeys(): DashboardKeys | null {
  const [list, setList] = useState<DashboardKeys | null>(null);
  useEffect(() => {
    const refresh = () => {
      if (!document.hidden) readKeys().then(setList, () => {});
    };
    refresh();
    const timer = setInterval(refresh, refreshMs);
    return () => clearInterval(timer);
  }, []);
  return list;
}
