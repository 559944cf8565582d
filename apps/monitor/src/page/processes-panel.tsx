import type { AdminStatus, AppStatus } from '../admin-status.ts';
import { bytes, decimals, duration, milliseconds, orDash } from './format.ts';
import { type Column, Panel, State, Table } from './parts.tsx';

/** Every app with its processes: the gateway's workers first. */
export function ProcessesPanel({ status }: { status: AdminStatus }) {
  const columns: Column<AppStatus>[] = [
    { title: 'App', cell: ({ app }) => app },
    { title: 'Answering', cell: app => <Answering {...app} /> },
    {
      title: 'CPU',
      cell: app => orDash(app.residentMemoryBytes && app.cpuCores, value => `${decimals(2)(value)} cores`),
      isNumber: true,
    },
    { title: 'Memory', cell: app => orDash(app.residentMemoryBytes, bytes), isNumber: true },
    {
      title: 'Loop lag',
      cell: app => orDash(app.eventLoopLagSeconds, value => milliseconds(value * 1000)),
      isNumber: true,
    },
    { title: 'Youngest', cell: app => youngest(app, status.at), isNumber: true },
  ];
  return (
    <Panel title="Workers and processes">
      <Table label="Workers and processes" columns={columns} rows={status.apps} keyOf={({ app }) => app} />
    </Panel>
  );
}

function Answering({ answering, expected, processes }: AppStatus) {
  const silent = processes.filter(({ answers }) => !answers).map(({ pid }) => pid);
  const more = silent.length > 5 ? ' and more' : '';
  return (
    <>
      <State look={answering >= expected ? 'good' : 'bad'} text={`${answering} of ${expected}`} />
      {silent.length > 0 && ` silent: pid ${silent.slice(0, 5).join(', ')}${more}`}
    </>
  );
}

const youngest = ({ processes }: AppStatus, now: number) =>
  orDash(processes.length > 0 ? Math.max(...processes.map(({ since }) => since)) : null, since =>
    duration(now - since),
  );
