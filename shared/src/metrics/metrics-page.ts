import { type MetricDefinition, type MetricName, metricDefinitions } from './definitions.ts';

/** The text of docs/metrics.md, made of the definitions. */
export function metricsPage(): string {
  const definitions = Object.entries(metricDefinitions) as [MetricName, MetricDefinition][];
  const owners = [...new Set(definitions.map(([, definition]) => definition.owner))];
  const sections = owners.map(owner => {
    const own = definitions.filter(([, definition]) => definition.owner === owner);
    return `## ${owner}\n\n${own.map(([name, definition]) => entry(name, definition)).join('\n')}`;
  });
  return `# Metrics

Generated from shared/src/metrics/definitions.ts by \`node apps/monitor/src/write-metrics-page.ts\`; do not edit.

\`GET /metrics\` answers in Prometheus' text format, all processes of this host merged: with an admin key on the gateway's
port, without a key on \`127.0.0.1\` at \`monitor.port\`. Counters and histograms are summed over all processes that ever
ran, so they do not go back when a process is reloaded or killed. Gauges are of the processes that live now.

${sections.join('\n')}`;
}

function entry(name: string, { type, help, unit, labels, aggregator, buckets }: MetricDefinition): string {
  const lines = [
    `### \`${name}\``,
    '',
    help,
    '',
    `- ${type}, in ${unit}${type === 'gauge' ? `; over processes: ${aggregator}` : ''}`,
  ];
  for (const [label, values] of Object.entries(labels)) {
    const text = typeof values === 'string' ? values : values.map(value => `\`${value}\``).join(', ');
    lines.push(`- label \`${label}\`: ${text}`);
  }
  if (buckets) lines.push(`- buckets: ${buckets.join(', ')}`);
  return `${lines.join('\n')}\n`;
}
