import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../kit/stack.ts';
import { type Result, resultsFolder } from './report/result.ts';
import { replaceTable, toTable } from './report/table.ts';
import { scenarios } from './scenarios/all.ts';

// Rewrites the table of results in README.md, or in the file that is named, from test/bench/results/.

const file = process.argv[2] ?? join(projectRoot, 'README.md');
const order = scenarios.map(({ name }) => name);
const results = globSync('*.json', { cwd: resultsFolder, exclude: name => name.endsWith('.local.json') })
  .map(name => JSON.parse(readFileSync(join(resultsFolder, name), 'utf8')) as Result)
  .sort((one, other) => order.indexOf(one.scenario) - order.indexOf(other.scenario));
if (results.length === 0) throw new Error(`no results in ${resultsFolder}; run npm run bench first`);
writeFileSync(file, replaceTable(readFileSync(file, 'utf8'), toTable(results)));
console.log(`${file}: ${results.map(({ scenario }) => scenario).join(', ')}`);
