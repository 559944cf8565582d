import { join } from 'node:path';
import { roles } from '@er-gateway/shared/config/schema';
import { serveControl } from '@er-gateway/shared/control-server';
import { ConfigError, configExitCode } from '@er-gateway/shared/errors/config-error';
import { runProcess } from '@er-gateway/shared/lifecycle';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { createSupervisorMetrics } from '@er-gateway/shared/metrics/supervisor-metrics';
import { register } from 'prom-client';
import { checkCommand } from './check-command.ts';
import { ModelProcess } from './model-process.ts';

/** Any failure that a new start may mend; PM2 starts the app again. */
const failedExitCode = 1;

// main.cjs <embedding|reranker> [entry file of the built-in engine]; main.cjs <embedding|reranker> --check
const [, , roleArgument, option] = process.argv;
const enginePath = option === '--check' ? undefined : option;
const role = roles.find(known => known === roleArgument);

void runProcess(role ?? 'supervisor', async ({ config, logger, onStop, stop }) => {
  if (role === undefined) throw new ConfigError([`the first argument must be ${roles.join(' or ')}`]);
  const options = {
    config,
    role,
    replica: Number.parseInt(process.env.NODE_APP_INSTANCE ?? '', 10) || 0,
    environment: process.env,
    enginePath: enginePath ?? join(config.root, 'dist', 'engine', 'main.cjs'),
  };
  if (option === '--check') {
    const checked = await checkCommand(options);
    console.log(JSON.stringify(checked));
    return stop('checked', 0);
  }
  const modelProcess = new ModelProcess({ ...options, logger });
  createProcessMetrics(register, role);
  createSupervisorMetrics(register, role, () => modelProcess.facts);
  onStop(await serveControl({ runDir: config.run_dir, app: role, status: () => modelProcess.status }));
  onStop(() => modelProcess.stop());

  const end = await modelProcess.run();
  // The reason is the last line of its log: PM2 shows no more of it than "stopped" in its list.
  if (end.kind === 'failed') await stop(end.reason, end.isFinal ? configExitCode : failedExitCode);
});
