import { performance } from 'node:perf_hooks';
import type { Registry } from 'prom-client';
import { createCounter, createGauge } from './create-metric.ts';
import { SlidingMaximum } from './sliding-maximum.ts';

/** Wakes an idle process four times a second; at 10 ms, 64 idle workers would wake 6,400 times. */
const lagResolutionMs = 250;
/** A delay is told this long, to all readers: to Prometheus, whoever else has looked in between. */
const lagWindowMs = 60_000;

/**
 * What every process says of itself: CPU, memory, event loop. A handful set by hand: prom-client's defaults are about
 * 100 KB of JSON for each of 64 workers at each scrape.
 */
export function createProcessMetrics(registry: Registry, app: string): void {
  createGauge(registry, 'er_processes', gauge => gauge.set({ app }, 1));
  createCounter(registry, 'er_process_starts_total').inc({ app });

  let countedCpuSeconds = 0;
  createCounter(registry, 'er_process_cpu_seconds_total', counter => {
    const { user, system } = process.cpuUsage();
    const cpuSeconds = (user + system) / 1e6;
    counter.inc({ app }, Math.max(0, cpuSeconds - countedCpuSeconds));
    countedCpuSeconds = cpuSeconds;
  });

  createGauge(registry, 'er_process_resident_memory_bytes', gauge =>
    gauge.set({ app }, process.memoryUsage.rss()),
  );
  createGauge(registry, 'er_process_heap_used_bytes', gauge =>
    gauge.set({ app }, process.memoryUsage().heapUsed),
  );

  // Not monitorEventLoopDelay: each reset() blinds it until its timer ran twice more.
  const lagMs = new SlidingMaximum(lagWindowMs);
  let dueAt = performance.now() + lagResolutionMs;
  const noteLag = () => {
    const now = performance.now();
    lagMs.add(Math.max(0, now - dueAt), now);
    return now;
  };
  setInterval(() => {
    dueAt = noteLag() + lagResolutionMs;
  }, lagResolutionMs).unref();
  createGauge(registry, 'er_process_event_loop_lag_seconds', gauge => {
    gauge.set({ app }, lagMs.at(noteLag()) / 1000);
  });

  let usedBefore = performance.eventLoopUtilization();
  createGauge(registry, 'er_process_event_loop_utilization', gauge => {
    const used = performance.eventLoopUtilization();
    gauge.set({ app }, performance.eventLoopUtilization(used, usedBefore).utilization);
    usedBefore = used;
  });
}
