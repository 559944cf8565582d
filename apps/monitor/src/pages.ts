import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { Registry } from 'prom-client';
import { toAdminStatus } from './admin-status.ts';
import type { DashboardPage } from './dashboard-page.ts';
import type { FeedbackHistory } from './feedback-quality.ts';
import type { GpuSample } from './gpu-sample.ts';
import type { Observation } from './observer.ts';
import type { Pages } from './routes.ts';
import type { Sampler } from './sampler.ts';
import type { SystemSample } from './system-sample.ts';
import type { TrafficWindow } from './traffic.ts';

export interface PagesOptions {
  config: EffectiveConfig;
  observe: () => Promise<Observation>;
  traffic: TrafficWindow;
  feedback: FeedbackHistory;
  dashboard: DashboardPage;
  sampleSystem: Sampler<SystemSample>;
  sampleGpus: Sampler<GpuSample[]>;
}

/** The monitor's three pages. */
export function createPages(options: PagesOptions): Pages {
  const { config, observe, traffic, feedback, dashboard, sampleSystem, sampleGpus } = options;

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
      feedback: feedback.report(),
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
