import { targetText, valueText } from './figure-text.ts';
import type { Result } from './result.ts';

const begin = '<!-- bench:begin -->';
const end = '<!-- bench:end -->';

/** The results as a Markdown table: one row a figure, and what they were measured on. */
export function toTable(results: readonly Result[]): string {
  const rows = results.flatMap(({ scenario, figures }) =>
    figures.map(figure => `| ${scenario} | ${figure.name} | ${valueText(figure)} | ${targetText(figure)} |`),
  );
  const runs = results.map(({ scenario, startedAt, machine, versions }) => {
    const parts = [
      startedAt.slice(0, 10),
      `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.kernel}`,
      `Node ${versions.node.slice(1)}`,
      ...(versions.vllm ? [`vLLM ${versions.vllm}`] : []),
      `revision ${versions.project?.slice(0, 12) ?? 'unknown'}${versions.project?.endsWith('+') ? ' with changes' : ''}`,
    ];
    return { scenario, text: parts.join(', ') };
  });
  const grouped = Map.groupBy(runs, ({ text }) => text);
  const machines = [...grouped].map(
    ([text, sharing]) => `${sharing.map(({ scenario }) => scenario).join(', ')}: ${text}.`,
  );
  return ['| run | figure | measured | target |', '| --- | --- | --- | --- |', ...rows, '', ...machines].join(
    '\n',
  );
}

/** The text with the table between its two marks replaced. Throws when it has no marks. */
export function replaceTable(text: string, table: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`no ${begin} and ${end} in it`);
  return `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`;
}
