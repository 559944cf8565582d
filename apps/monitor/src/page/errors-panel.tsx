import type { AdminStatus } from '../admin-status.ts';
import { clock, duration, unknown } from './format.ts';
import { type Column, Panel, Table } from './parts.tsx';

/** One row: an error that callers got, or the last word of a model server that failed. */
interface ErrorRow {
  at: number;
  what: string;
  where: string;
  message: string;
  who: string;
  requestId: string;
}

/** The newest error of each kind, newest first. */
export function ErrorsPanel({ status }: { status: AdminStatus }) {
  const rows = [...requestErrors(status), ...modelErrors(status)].sort((a, b) => b.at - a.at);
  const columns: Column<ErrorRow>[] = [
    { title: 'Last', cell: ({ at }) => `${clock(at)}, ${duration(status.at - at)} ago` },
    { title: 'Error', cell: ({ what }) => what },
    { title: 'Where', cell: ({ where }) => where },
    { title: 'Message', cell: ({ message }) => <span class="message">{message}</span> },
    { title: 'Key', cell: ({ who }) => who },
    { title: 'Request', cell: ({ requestId }) => requestId },
  ];
  return (
    <Panel title="Last errors" note="the newest of each kind">
      {rows.length > 0 ? (
        <Table
          label="Last errors"
          columns={columns}
          rows={rows}
          keyOf={({ what, where }) => `${what} ${where}`}
        />
      ) : (
        <p class="quiet">None since the workers started.</p>
      )}
    </Panel>
  );
}

const requestErrors = ({ errors }: AdminStatus): ErrorRow[] =>
  errors.map(({ at, status, code, route, message, keyName, requestId }) => ({
    at,
    what: `${status} ${code}`,
    where: route,
    message,
    who: keyName ?? unknown,
    requestId,
  }));

const modelErrors = ({ models }: AdminStatus): ErrorRow[] =>
  models
    .flatMap(({ processes }) => processes)
    .flatMap(({ app, since, lastError }) =>
      lastError === null
        ? []
        : [
            {
              at: since,
              what: 'model server',
              where: app,
              message: lastError,
              who: unknown,
              requestId: unknown,
            },
          ],
    );
