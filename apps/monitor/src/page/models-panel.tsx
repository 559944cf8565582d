import type { AdminModelStatus, AdminStatus } from '../admin-status.ts';
import { decimals, duration, milliseconds, orDash, rate, whole } from './format.ts';
import { type Column, type Look, Panel, State, Table } from './parts.tsx';

type ModelProcess = AdminModelStatus['processes'][number];
type Upstream = NonNullable<AdminModelStatus['scheduler']>['upstreams'][number];

/** One model server: what its supervisor says, what the scheduler sees of it, or both. */
interface Server {
  name: string;
  process: ModelProcess | null;
  upstream: Upstream | null;
}

const looks: Record<ModelProcess['state'], Look> = {
  stopped: 'idle',
  starting: 'warn',
  loading: 'warn',
  testing: 'warn',
  ready: 'good',
  degraded: 'warn',
  draining: 'warn',
  stopping: 'warn',
  failed: 'bad',
};

/** Both models, and the servers behind each. */
export function ModelsPanel({ status }: { status: AdminStatus }) {
  return (
    <Panel title="Models">
      <div class="columns">
        {status.models.map(model => (
          <Model key={model.role} model={model} now={status.at} />
        ))}
      </div>
    </Panel>
  );
}

function Model({ model, now }: { model: AdminModelStatus; now: number }) {
  const { scheduler, role, servedName, reason, isReady } = model;
  const isComing = model.processes.some(
    ({ isSupervised, state }) => isSupervised && ['starting', 'loading', 'testing'].includes(state),
  );
  const real =
    scheduler?.modelName && scheduler.modelName !== servedName ? `, answers as ${scheduler.modelName}` : '';
  const columns: Column<Server>[] = [
    { title: 'Server', cell: ({ name }) => name },
    { title: 'State', cell: server => <ServerState {...server} now={now} /> },
    {
      title: 'On',
      cell: ({ process }) => orDash(process, ({ gpu }) => (gpu === null ? 'CPU' : `GPU ${gpu}`)),
    },
    { title: 'In flight', cell: ({ upstream }) => orDash(upstream?.inFlight, whole), isNumber: true },
    {
      title: 'Inputs',
      cell: ({ upstream }) => orDash(upstream?.inputsPerSecond, value => `${rate(value)}/s`),
      isNumber: true,
    },
    { title: 'Call p50', cell: ({ upstream }) => orDash(upstream?.p50Ms, milliseconds), isNumber: true },
  ];
  return (
    <article class="model" aria-labelledby={`${role}-name`} data-role={role}>
      <header>
        <h3 id={`${role}-name`}>{servedName}</h3>
        <State
          look={isReady ? 'good' : isComing ? 'warn' : 'bad'}
          text={isReady ? 'ready' : isComing ? 'loading' : 'not ready'}
        />
      </header>
      <p class="quiet">
        {role}, engine {scheduler?.engineLabel ?? model.engine}
        {real}
        {scheduler?.maxModelLen ? `, up to ${decimals(0)(scheduler.maxModelLen)} tokens` : ''}
      </p>
      {reason && <p class="warn-text">{reason}</p>}
      <Table
        label={`Servers of ${servedName}`}
        columns={columns}
        rows={serversOf(model)}
        keyOf={({ name }) => name}
      />
    </article>
  );
}

function ServerState({ process, upstream, now }: Server & { now: number }) {
  if (process === null) {
    return (
      <State
        look={upstream?.isReady ? 'good' : 'bad'}
        text={upstream?.isReady ? 'ready' : (upstream?.reason ?? 'not ready')}
      />
    );
  }
  if (!process.isSupervised && process.state !== 'failed')
    return <State look="bad" text="its supervisor is gone" />;
  return (
    <>
      <State look={looks[process.state]} text={process.state} />{' '}
      <span class="quiet">{duration(now - process.since)}</span>
    </>
  );
}

/** Supervised processes with the upstream on their port, then upstreams run by somebody else. */
function serversOf({ processes, scheduler }: AdminModelStatus): Server[] {
  const upstreams = scheduler?.upstreams ?? [];
  const portOf = ({ url }: Upstream) => Number(new URL(url).port);
  const own = processes.map(process => ({
    name: process.app,
    process,
    upstream: upstreams.find(upstream => portOf(upstream) === process.port) ?? null,
  }));
  const others = upstreams
    .filter(upstream => !own.some(server => server.upstream === upstream))
    .map(upstream => ({ name: new URL(upstream.url).host, process: null, upstream }));
  return [...own, ...others];
}
