import { join } from 'node:path';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Why tests with a browser cannot run here; false when they can. Throws where skipping is not allowed (`CI` is set). */
export function chromiumMissing(): string | false {
  if (findProgram('chromium', process.env)) return false;
  const reason = 'no chromium on PATH (Debian: apt-get install chromium)';
  if (process.env.CI) throw new Error(`${reason}; with CI set, tests are not skipped`);
  return reason;
}

/** Starts the system's Chromium. Without a sandbox, which root may not have; the tests open pages of ours only. */
export function startChromium(): Promise<Browser> {
  const executablePath = findProgram('chromium', process.env) ?? 'chromium';
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** Keeps a picture of the whole page, to be looked at, in the folder that ER_TEST_SCREENSHOTS names; without it, does nothing. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  const folder = process.env.ER_TEST_SCREENSHOTS;
  if (folder === undefined) return;
  const path = join(folder, `${name.replaceAll(/\W+/g, '-')}.png`);
  await page.screenshot({ path, fullPage: true });
}

/** What axe-core finds wrong with a page as it is now: a line for each rule that is broken, with the first element. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  interface Violation {
    id: string;
    nodes: { html: string; failureSummary: string }[];
  }
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<{ violations: Violation[] }>('axe.run()');
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}
