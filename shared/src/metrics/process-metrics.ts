import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Registry } from 'prom-client';
import { createCounter, createGauge } from './create-metric.ts';

/** Wakes an idle process four times a second; at 10 ms, 64 idle workers would wake 6,400 times. */
const lagResolutionMs = 250;

/**
 * What every process says of itself: CPU, memory, event loop. A handful set by hand: prom-client's defaults are about
 * 100 KB of JSON for each of 64 workers at each scrape.
 */
export function createProcessMetrics(registry: Registry, app: string): void {
  createGauge(registry, 'er_processes', gauge => gauge.set({ app }, 1));

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

  const delays = monitorEventLoopDelay({ resolution: lagResolutionMs });
  delays.enable();
  createGauge(registry, 'er_process_event_loop_lag_seconds', gauge => {
    // The recorded delay holds the timer's own interval.
    gauge.set({ app }, Math.max(0, delays.max / 1e9 - lagResolutionMs / 1e3));
    delays.reset();
  });

  let usedBefore = performance.eventLoopUtilization();
  createGauge(registry, 'er_process_event_loop_utilization', gauge => {
    const used = performance.eventLoopUtilization();
    gauge.set({ app }, performance.eventLoopUtilization(used, usedBefore).utilization);
    usedBefore = used;
  });
}
