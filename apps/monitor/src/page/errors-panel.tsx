import type { AdminStatus } from '../admin-status.ts';
import { clock, duration } from './format.ts';
import { Panel } from './parts.tsx';

/** An error that callers got, or the last word of a model server that failed. */
interface ShownError {
  at: number;
  what: string;
  where: string;
  message: string;
  /** Key and request, where there are any. */
  who: string;
}

/** The newest error of each kind, newest first. */
export function ErrorsPanel({ status }: { status: AdminStatus }) {
  const shown = [...requestErrors(status), ...modelErrors(status)].sort((a, b) => b.at - a.at);
  return (
    <Panel title="Last errors" note="the newest of each kind">
      {shown.length > 0 ? (
        <ul class="errors">
          {shown.map(({ at, what, where, message, who }) => (
            <li key={`${what} ${where}`}>
              <span class="quiet">
                {clock(at)}, {duration(status.at - at)} ago
              </span>
              <span class="what">
                {what} <span class="quiet">{where}</span>
              </span>
              <span>
                {message} {who !== '' && <span class="quiet">{who}</span>}
              </span>
            </li>
          ))}
        </ul>
      ) : (
        <p class="quiet">None that the workers remember.</p>
      )}
    </Panel>
  );
}

const requestErrors = ({ errors }: AdminStatus): ShownError[] =>
  errors.map(({ at, status, code, route, message, keyName, requestId }) => ({
    at,
    what: `${status} ${code}`,
    where: route,
    message,
    who: `${keyName === null ? '' : `key ${keyName}, `}request ${requestId}`,
  }));

const modelErrors = ({ models }: AdminStatus): ShownError[] =>
  models
    .flatMap(({ processes }) => processes)
    .flatMap(({ app, since, lastError }) =>
      lastError === null
        ? []
        : [{ at: since, what: 'model server', where: app, message: lastError, who: '' }],
    );
