import { useEffect, useState } from 'preact/hooks';
import { BatchesPanel } from './batches-panel.tsx';
import { Chart, type Series } from './chart.tsx';
import type { Session, Snapshot } from './connection.ts';
import { ErrorsPanel } from './errors-panel.tsx';
import { FeedbackPanel } from './feedback-panel.tsx';
import { clock, duration, milliseconds, rate, whole } from './format.ts';
import { HostPanel } from './host-panel.tsx';
import { KeysPanel } from './keys-panel.tsx';
import { ModelsPanel } from './models-panel.tsx';
import { State } from './parts.tsx';
import { ProcessesPanel } from './processes-panel.tsx';
import { Summary } from './summary.tsx';

const answers: Series[] = [
  { label: '2xx', value: point => point.okPerSecond, color: 'series-1' },
  { label: '4xx', value: point => point.clientErrorsPerSecond, color: 'series-2', dash: [6, 3] },
  { label: '5xx', value: point => point.serverErrorsPerSecond, color: 'series-3', dash: [2, 2] },
];
const latency: Series[] = [
  { label: 'p50', value: point => point.p50Ms, color: 'series-1' },
  { label: 'p95', value: point => point.p95Ms, color: 'series-2', dash: [6, 3] },
  { label: 'p99', value: point => point.p99Ms, color: 'series-3', dash: [2, 2] },
];
const load: Series[] = [
  { label: 'in flight', value: point => point.inFlight, color: 'series-1' },
  { label: 'inputs waiting', value: point => point.waiting, color: 'series-2', dash: [6, 3] },
];

export interface DashboardProps {
  snapshot: Snapshot | null;
  /** Why there is no news. */
  refusal: string | null;
  session: Session;
  onLogout: () => void;
}

/** Everything that there is to see, and whether it is still true. */
export function Dashboard({ snapshot, refusal, session, onLogout }: DashboardProps) {
  const status = snapshot?.status;
  return (
    <>
      <header class="bar">
        <h1>er-gateway</h1>
        {status?.system && <span class="quiet host">{status.system.hostname}</span>}
        <span role="status">
          {status ? <Overall {...status} /> : <State look="idle" text="connecting" />}
        </span>
        {snapshot && <Freshness {...snapshot} />}
        {refusal !== null && (
          <span role="alert" class="problem">
            {refusal}
          </span>
        )}
        {session.name !== null && (
          <span class="account">
            <span class="quiet">key {session.name}</span>
            <button type="button" onClick={onLogout}>
              Log out
            </button>
          </span>
        )}
      </header>
      {status && (
        <main class={snapshot.isLive ? '' : 'stale'}>
          <Summary status={status} />
          <section class="charts" aria-label="Last 15 minutes">
            <Chart title="Answers a second" points={snapshot.points} series={answers} show={perSecond} />
            <Chart title="Latency" points={snapshot.points} series={latency} show={milliseconds} />
            <Chart title="Concurrency" points={snapshot.points} series={load} show={whole} isCount />
          </section>
          <ModelsPanel status={status} />
          <div class="columns">
            <BatchesPanel status={status} />
            <HostPanel status={status} />
          </div>
          <KeysPanel status={status} />
          <FeedbackPanel status={status} />
          <ErrorsPanel status={status} />
          <ProcessesPanel status={status} />
        </main>
      )}
    </>
  );
}

const perSecond = (value: number) => `${rate(value)}/s`;

function Overall({ isReady, apps }: Pick<Snapshot['status'], 'isReady' | 'apps'>) {
  const isWhole = apps.every(({ answering, expected }) => answering >= expected);
  if (!isReady) return <State look="bad" text="Not ready" />;
  return isWhole ? <State look="good" text="Ready" /> : <State look="warn" text="Degraded" />;
}

/** When the last news came; an alert once they stay away. */
function Freshness({ isLive, heardAt }: Snapshot) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (isLive) return <span class="quiet">live, {clock(heardAt)}</span>;
  return (
    <span role="alert" class="problem">
      No connection. This is the state of {clock(heardAt)}
      {now - heardAt > 60_000 ? `, ${duration(now - heardAt)} ago` : ''}; trying again.
    </span>
  );
}
