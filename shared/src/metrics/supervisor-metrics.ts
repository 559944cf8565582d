import type { Registry } from 'prom-client';
import { createCounter, createGauge } from './create-metric.ts';

/** A process of a model server, as the kernel shows it. */
interface ServerProcess {
  pid: number;
  startTicks: number;
  cpuSeconds: number;
  residentBytes: number;
}

/** What a supervisor knows of its model server at a scrape. */
export interface ModelServerFacts {
  /** Whether its program was started. */
  isStarted: boolean;
  failedStarts: number;
  processes: ServerProcess[];
}

/** The metrics of a supervisor, in its registry: the model server that it started. `app` is its PM2 app. */
export function createSupervisorMetrics(registry: Registry, app: string, look: () => ModelServerFacts): void {
  // A registry asks its metrics in their order: the first one looks, for all of them.
  let facts: ModelServerFacts = { isStarted: false, failedStarts: 0, processes: [] };
  createGauge(registry, 'er_model_server_processes', gauge => {
    facts = look();
    gauge.set({ app }, facts.processes.length);
  });
  let isCounted = false;
  createCounter(registry, 'er_model_server_starts_total', counter => {
    if (!facts.isStarted || isCounted) return;
    isCounted = true; // a supervisor starts one server
    counter.inc({ app });
  });
  createGauge(registry, 'er_model_server_failed_starts', gauge => gauge.set({ app }, facts.failedStarts));
  /** CPU time that was counted already, by process: one that ended keeps what it had when it was last seen. */
  const countedSeconds = new Map<string, number>();
  createCounter(registry, 'er_model_server_cpu_seconds_total', counter => {
    for (const { pid, startTicks, cpuSeconds } of facts.processes) {
      const process = `${pid}@${startTicks}`;
      counter.inc({ app }, Math.max(0, cpuSeconds - (countedSeconds.get(process) ?? 0)));
      countedSeconds.set(process, cpuSeconds);
    }
  });
  createGauge(registry, 'er_model_server_resident_memory_bytes', gauge => {
    const bytes = facts.processes.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
    gauge.set({ app }, bytes);
  });
}
