import { type MetricName, metricDefinitions } from './definitions.ts';
import { type MetricDefinition, metricGroups } from './metric-definition.ts';

/** The text of docs/metrics.md, made of the definitions. */
export function metricsPage(): string {
  const definitions = Object.entries(metricDefinitions) as [MetricName, MetricDefinition][];
  const sections = metricGroups.map(group => {
    const own = definitions.filter(([, definition]) => definition.group === group);
    return `## ${group}\n\n${own.map(([name, definition]) => entry(name, definition)).join('\n')}`;
  });
  return `# Metrics

Generated from shared/src/metrics/*definitions.ts by \`node apps/monitor/src/write-metrics-page.ts\`; do not edit.

\`GET /metrics\` answers in Prometheus' text format, all processes of this host merged: with an admin key on the gateway's
port, without a key on \`127.0.0.1\` at \`monitor.port\`. Counters and histograms are summed over all processes that ever
ran, so they do not go back when a process is reloaded or killed. A process that ends by itself (reload, restart, stop) leaves all that it has
counted; one that is killed or crashes takes with it what it counted since it was looked at last: at the last scrape, or 30 s ago at most.
Gauges are of the processes that live now.

${sections.join('\n')}`;
}

function entry(
  name: string,
  { type, owner, help, unit, labels, aggregator, buckets }: MetricDefinition,
): string {
  const lines = [
    `### \`${name}\``,
    '',
    help,
    '',
    `- ${type}, in ${unit}; from ${owner === 'every process' ? owner : `the ${owner}`}${type === 'gauge' ? `; over processes: ${aggregator}` : ''}`,
  ];
  for (const [label, values] of Object.entries(labels)) {
    const text = typeof values === 'string' ? values : values.map(value => `\`${value}\``).join(', ');
    lines.push(`- label \`${label}\`: ${text}`);
  }
  if (buckets) lines.push(`- buckets: ${buckets.join(', ')}`);
  return `${lines.join('\n')}\n`;
}
