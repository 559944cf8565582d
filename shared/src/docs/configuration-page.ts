import { type SettingFacts, settingFacts } from './setting-facts.ts';

/** The text of docs/configuration.md, made of the schema. */
export function configurationPage(): string {
  const facts = settingFacts();
  const sections = [...new Set(facts.map(sectionOf))];
  const tables = sections.map(section => {
    const rows = facts.filter(fact => sectionOf(fact) === section).map(row);
    const title = section === '' ? 'Top level' : `\`${section}\``;
    return `## ${title}\n\n| setting | default | takes | meaning | environment |\n|---|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  return `# Configuration

Generated from shared/src/config/schema.ts by \`npx node shared/src/docs/write-docs.ts\`; do not edit.

Every setting has a default; nothing needs to be set. A setting is taken from the environment, else from the file, else its default.

- **File**: \`er.config.yaml\` in the project's folder, or the file that \`ER_CONFIG\` names. er.config.example.yaml holds every setting with
  its default. Relative paths are relative to the project's folder.
- **Environment**: the setting's path in capitals, \`limits.requests_per_minute\` as \`ER_LIMITS_REQUESTS_PER_MINUTE\`. Lists are
  separated by commas or written as JSON; an empty value means \`null\`. \`REDIS_URL\` stands for \`ER_REDIS_URL\`.
- **Mistakes**: unknown names, wrong values and contradictions (two parts on one port) are all reported at once, with exit status 78, before
  anything is started.
- **Changes** take effect with \`npm run restart\`. What runs keeps the settings with which it was started, also when PM2 restarts a process. Plain
  \`pm2 reload ecosystem.config.js\` reads the file and the environment anew.

With \`engine: auto\`, each model is answered by the first that is there: the servers in its \`urls\`; vLLM, when \`vllm.command\` is found and its
\`path\` is a folder; the built-in CPU engine.

${tables.join('\n')}`;
}

/** The table a setting stands in: everything but its last name, without a table for two settings (gateway.tls). */
function sectionOf({ path }: SettingFacts): string {
  return path.slice(0, Math.min(path.length - 1, path[0] === 'models' ? 2 : 1)).join('.');
}

function row(fact: SettingFacts): string {
  const { path, variable, about, fallback, takes } = fact;
  const name = path.slice(sectionOf(fact) === '' ? 0 : sectionOf(fact).split('.').length).join('.');
  const cells = [`\`${name}\``, `\`${JSON.stringify(fallback)}\``, takes, about, `\`${variable}\``];
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
