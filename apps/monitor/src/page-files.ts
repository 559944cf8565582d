import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PageAnswer } from './routes.ts';

/**
 * What a browser may do with the page: load scripts, styles and the stream from here, and nothing from elsewhere. No inline
 * script or style runs, so that nothing that a process says can become one.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

/** The dashboard's files as the build left them. */
export interface PageFiles {
  page: PageAnswer;
  /** The page for who has no session: it asks for a key at once. */
  login: PageAnswer;
  script: PageAnswer;
  style: PageAnswer;
}

/** Reads them once: a build that is made while this process runs is served after its restart, whole. */
export function loadPageFiles(root: string): PageFiles {
  const read = (name: string) => readFileSync(join(root, 'dist', 'monitor', 'page', name), 'utf8');
  const page = {
    type: 'text/html; charset=utf-8',
    body: read('page.html'),
    headers: { 'content-security-policy': contentSecurityPolicy },
  };
  return {
    page,
    login: { ...page, status: 401, body: page.body.replace('<body>', '<body data-login>') },
    script: { type: 'text/javascript; charset=utf-8', body: read('page.js') },
    style: { type: 'text/css; charset=utf-8', body: read('page.css') },
  };
}
