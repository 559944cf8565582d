/**
 * A tiny process with a control socket, as every process of ours has one: counts what it is told on stdin.
 * Arguments: run folder, app, its status as JSON. Each line `n` on stdin counts n answered requests and shows them as in
 * flight; the line comes back when they are counted. Ends with its stdin, so that it never outlives its test.
 */
import { createInterface } from 'node:readline';
import { serveControl } from '@er-gateway/shared/control-server';
import { createGatewayMetrics } from '@er-gateway/shared/metrics/gateway-metrics';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { Registry } from 'prom-client';

const [runDir = '', app = '', status = '{}'] = process.argv.slice(2);
const registry = new Registry();
createProcessMetrics(registry, app);
const metrics = createGatewayMetrics(registry, () => 0);
const close = await serveControl({ runDir, app, registry, status: () => JSON.parse(status) });
process.once('SIGTERM', async () => {
  await close();
  process.exit(0);
});
createInterface(process.stdin)
  .on('line', line => {
    const count = Number(line);
    metrics.requests.inc({ route: '/v1/embeddings', status: '200' }, count);
    for (let i = 0; i < count; i += 1) metrics.requestDuration.observe({ route: '/v1/embeddings' }, 0.02);
    metrics.requestsInFlight.inc(count);
    console.log(line);
  })
  .on('close', () => process.exit(0));
console.log('ready');
