import type { AdminStatus } from '../admin-status.ts';
import { milliseconds, orDash, percent, rate, successPercent, whole } from './format.ts';

/** The figures that an operator asks for first. */
export function Summary({ status: { traffic, concurrency, lanes } }: { status: AdminStatus }) {
  const waiting = lanes && Object.values(lanes).reduce((sum, lane) => sum + lane.waitingItems, 0);
  const figures: [name: string, value: string, unit: string][] = [
    ['Requests', rate(traffic.requestsPerSecond), '/s'],
    ['Success', orDash(traffic.successRate, successPercent), ''],
    ['Latency p50', orDash(traffic.p50Ms, milliseconds), ''],
    ['Latency p95', orDash(traffic.p95Ms, milliseconds), ''],
    ['Latency p99', orDash(traffic.p99Ms, milliseconds), ''],
    ['Inputs', rate(traffic.inputsPerSecond), '/s'],
    ['Tokens', rate(traffic.tokensPerSecond), '/s'],
    ['Cache hits', orDash(traffic.cacheHitRate, percent), ''],
    ['In flight', orDash(concurrency.inFlight, whole), ` of ${whole(concurrency.limit)}`],
    ['Waiting', orDash(waiting, whole), ' inputs'],
    ['Answered', whole(traffic.requestsTotal), ''],
  ];
  const counts = Object.entries(traffic.statuses).map(([code, count]) => `${code}: ${whole(count)}`);
  return (
    <section class="panel" aria-labelledby="traffic-title">
      <h2 id="traffic-title">
        Traffic <small class="quiet">last {Math.round(traffic.windowSeconds)} s</small>
      </h2>
      <dl class="figures">
        {figures.map(([name, value, unit]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value}
              <small>{unit}</small>
            </dd>
          </div>
        ))}
      </dl>
      <p class="quiet">
        {counts.length > 0
          ? `Answers by status: ${counts.join(', ')}`
          : 'No requests to the models in this time.'}
      </p>
    </section>
  );
}
