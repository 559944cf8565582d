import { Bench } from './bench.ts';
import { parseOptions } from './options.ts';
import { targetText, valueText } from './report/figure-text.ts';
import { writeResult } from './report/result.ts';
import { isMet, type Scenario } from './scenario.ts';
import { scenarios } from './scenarios/all.ts';

// `npm run bench -- [name …] [options]`: runs scenarios, prints their figures, writes test/bench/results/<name>.json.
// Exit status: 0 when all ran (a missed target is a finding, not a failure), 1 when one broke, 2 for a wrong command.

const args = process.argv.slice(2);
const command = ['npm run bench --', ...args].join(' ');

if (args.includes('--help') || args.includes('-h')) {
  printHelp();
} else {
  process.exitCode = await run();
}

async function run(): Promise<number> {
  const parsed = parseOrExplain();
  if (!parsed) return 2;
  const { names, options } = parsed;
  const unknown = names.filter(name => !scenarios.some(scenario => scenario.name === name));
  if (unknown.length > 0) {
    console.error(`no such scenario: ${unknown.join(', ')}`);
    printHelp();
    return 2;
  }
  // Rivals are installed when asked for; all else runs by default.
  const wanted = scenarios.filter(({ name }) =>
    names.length > 0 ? names.includes(name) : name !== 'rivals' || options.isRivals,
  );
  const bench = new Bench(options, line => console.log(`  ${line}`));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, async () => {
      // A second one does not end us half way: a stack that still starts would stay behind.
      if (bench.isClosed) return console.error(`${signal}: still stopping what was started`);
      console.error(`${signal}: stopping what was started`);
      await bench.close().catch(console.error);
      process.exit(130);
    });
  }
  let failed = 0;
  for (const scenario of wanted) {
    if (!(await runScenario(scenario, bench))) failed++;
    // The signal's handler ends the process.
    if (bench.isClosed) return 130;
  }
  await bench.close();
  return failed === 0 ? 0 : 1;
}

async function runScenario(scenario: Scenario, bench: Bench): Promise<boolean> {
  console.log(`\n${scenario.name}: ${scenario.title}`);
  const startedAt = new Date();
  try {
    const outcome = await scenario.run(bench);
    const { isQuick } = bench.options;
    const file = writeResult(scenario, outcome, { command, startedAt, isQuick });
    const width = Math.max(...outcome.figures.map(({ name }) => name.length));
    console.log('');
    for (const figure of outcome.figures) {
      const value = valueText(figure).padStart(10);
      console.log(`  ${figure.name.padEnd(width)} ${value}  ${targetText(figure).replaceAll('*', '')}`);
    }
    for (const note of outcome.notes ?? []) console.log(`  ${note}`);
    const missed = outcome.figures.filter(figure => isMet(figure) === false).length;
    console.log(`  ${missed === 0 ? '' : `${missed} below their target; `}written to ${file}`);
    return true;
  } catch (error) {
    console.error(`  ${scenario.name} broke:`, error);
    return false;
  }
}

function parseOrExplain(): ReturnType<typeof parseOptions> | null {
  try {
    return parseOptions(args);
  } catch (error) {
    console.error((error as Error).message);
    printHelp();
    return null;
  }
}

function printHelp(): void {
  console.log(`npm run bench -- [scenario …] [options]

${scenarios.map(({ name, title }) => `  ${name.padEnd(10)} ${title}`).join('\n')}

  --seconds N   length of a sample          --pairs N     samples of each side, taken in turns
  --warm-up N   seconds of load before      --requests N  requests of the soak (200000 for the full one)
  --clients A,B numbers of clients          --models A,B  of tiny, deeper, cost (clients)
  --full        every combination of settings (clients)
  --engine E    builtin or external, behind startup
  --rivals      other proxies too (nginx; LiteLLM and sglang-router are installed into .cache)
  --quick       smallest settings, to see that it works; written to <name>.local.json`);
}
