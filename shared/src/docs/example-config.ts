import { stringify } from 'yaml';
import { settingFacts } from './setting-facts.ts';

/** The text of er.config.example.yaml: every setting with its meaning and its default. */
export function exampleConfig(): string {
  const lines = [
    '# Every setting with its default. Copy to er.config.yaml and keep the lines that you change.',
    '# Generated from shared/src/config/schema.ts by `npx node shared/src/docs/write-docs.ts`; do not edit.',
  ];
  let open: string[] = [];
  for (const { path, about, fallback } of settingFacts()) {
    const sections = path.slice(0, -1);
    if (path.length === 1 || path[0] !== open[0]) lines.push('');
    const firstNew = sections.findIndex((name, depth) => name !== open[depth]);
    if (firstNew >= 0) {
      for (const [depth, name] of sections.entries())
        if (depth >= firstNew) lines.push(`${indent(depth)}${name}:`);
    }
    lines.push(`${indent(sections.length)}# ${about}`);
    lines.push(
      `${indent(sections.length)}${stringify({ [path.at(-1) ?? '']: fallback }, { lineWidth: 0 }).trim()}`,
    );
    open = sections;
  }
  return `${lines.join('\n')}\n`;
}

const indent = (depth: number) => '  '.repeat(depth);
