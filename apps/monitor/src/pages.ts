import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { Registry } from 'prom-client';
import { toAdminStatus } from './admin-status.ts';
import type { DashboardPage } from './dashboard-page.ts';
import { readGpus } from './gpu-sample.ts';
import type { Observation } from './observer.ts';
import type { Pages } from './routes.ts';
import { createSampler } from './sampler.ts';
import { readSystem } from './system-sample.ts';
import type { TrafficWindow } from './traffic.ts';

/** Age up to which a sample of the host serves, in milliseconds. */
const sampleMaxAgeMs = 1500;

export interface PagesOptions {
  config: EffectiveConfig;
  observe: () => Promise<Observation>;
  traffic: TrafficWindow;
  dashboard: DashboardPage;
}

/** The monitor's three pages. */
export function createPages({ config, observe, traffic, dashboard }: PagesOptions): Pages {
  const sampleSystem = createSampler(readSystem, sampleMaxAgeMs);
  const sampleGpus = createSampler(readGpus, sampleMaxAgeMs);

  const metrics = async () => ({
    type: Registry.PROMETHEUS_CONTENT_TYPE,
    body: (await observe()).exposition,
  });

  const adminStatus = async () => {
    const [observation, system, gpus] = await Promise.all([observe(), sampleSystem(), sampleGpus()]);
    const status = toAdminStatus({
      config,
      observation,
      traffic,
      system,
      gpus: gpus ?? [],
    });
    return { type: 'application/json', body: JSON.stringify(status) };
  };

  const page = () => ({
    type: 'text/html; charset=utf-8',
    body: dashboard.html,
    headers: { 'content-security-policy': dashboard.contentSecurityPolicy },
  });

  return { '/metrics': metrics, '/admin/status': adminStatus, '/dashboard': page };
}
