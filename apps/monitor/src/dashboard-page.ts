import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The dashboard as one page, and the policy under which a browser runs it. */
export interface DashboardPage {
  html: string;
  contentSecurityPolicy: string;
}

/**
 * Reads the page's parts from apps/monitor/assets and joins them: one answer, no further resources, and a policy that
 * lets exactly this script and this style run.
 */
export function loadDashboardPage(root: string): DashboardPage {
  const asset = (name: string) => readFileSync(join(root, 'apps', 'monitor', 'assets', name), 'utf8');
  const style = asset('dashboard.css');
  const script = asset('dashboard.js');
  // Functions as replacements: `$` in the parts means nothing.
  const html = asset('dashboard.html')
    .replace('<!-- STYLE -->', () => `<style>${style}</style>`)
    .replace('<!-- SCRIPT -->', () => `<script>${script}</script>`);
  const contentSecurityPolicy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return { html, contentSecurityPolicy };
}

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
