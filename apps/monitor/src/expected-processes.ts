import type { EffectiveConfig, EffectiveModel } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { createGauge } from '@er-gateway/shared/metrics/create-metric';
import type { Registry } from 'prom-client';

/** How many processes each app has when all is well; supervisors of all replicas call themselves by the role. */
export function expectedProcesses(config: EffectiveConfig): Map<string, number> {
  const counts = new Map([
    ['gateway', config.gateway.workers],
    ['scheduler', 1],
  ]);
  if (config.redis.url === null) counts.set('state', 1);
  counts.set('monitor', 1);
  for (const role of roles) {
    const replicas = supervisorsOf(config.models[role]).length;
    if (replicas > 0) counts.set(role, replicas);
  }
  return counts;
}

/** Names of the supervisors of a model in the run folder: `embedding`, `embedding-1` of the second replica. */
export function supervisorsOf({ engine, role, replicas }: EffectiveModel): string[] {
  if (engine === 'external') return [];
  return Array.from({ length: replicas }, (_, replica) => (replica === 0 ? role : `${role}-${replica}`));
}

/** The metric of it, in the monitor's registry. */
export function createExpectedMetrics(registry: Registry, expected: ReadonlyMap<string, number>): void {
  createGauge(registry, 'er_processes_expected', gauge => {
    for (const [app, count] of expected) gauge.set({ app }, count);
  });
}
