import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandContext } from './command-context.ts';
import { runNode } from './run-node.ts';

/** How many tests passed, failed (or were cancelled) and were skipped (or are to do). */
export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
}

const suites = ['unit', 'integration', 'e2e'];

/**
 * Runs the suites one after the other, or the test files that are named, and prints one line of totals. Resolves to the
 * exit status: 1 when a test failed or none ran, and, with CI=true, when one was skipped.
 */
export async function test(context: CommandContext, named: readonly string[]): Promise<number> {
  const groups =
    named.length > 0 ? [[...named]] : suites.map(suite => globSync(`test/${suite}/**/*.test.ts`));
  const totals: TestCounts = { passed: 0, failed: 0, skipped: 0 };
  for (const files of groups.filter(group => group.length > 0)) {
    const counts = await runSuite(context, files.sort());
    totals.passed += counts.passed;
    totals.failed += counts.failed;
    totals.skipped += counts.skipped;
  }
  context.output.write(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
  const isComplete = totals.skipped === 0 || context.environment.CI !== 'true';
  if (!isComplete) context.output.write('CI=true: a skipped test is a failure.\n');
  return totals.passed > 0 && totals.failed === 0 && isComplete ? 0 : 1;
}

async function runSuite({ root, environment }: CommandContext, files: string[]): Promise<TestCounts> {
  const folder = mkdtempSync(join(tmpdir(), 'er-test-'));
  const report = join(folder, 'report.tap');
  // Stacks under PM2 share two cores and one clock: one file at a time.
  const isStack = files.some(file => /^test\/(e2e|vllm)\//.test(file));
  try {
    const code = await runNode(
      root,
      [
        '--test',
        ...(isStack ? ['--test-concurrency=1'] : []),
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        '--test-reporter=tap',
        `--test-reporter-destination=${report}`,
        ...files,
      ],
      environment,
    );
    const counts = countTests(readFileSync(report, 'utf8'));
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Reads the totals that node:test's TAP reporter ends with. */
export function countTests(tap: string): TestCounts {
  const count = (name: string) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0);
  return {
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped') + count('todo'),
  };
}
