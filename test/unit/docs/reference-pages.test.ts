import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import { settingLeaves } from '@er-gateway/shared/config/environment';
import { configSchema } from '@er-gateway/shared/config/schema';
import { configurationPage } from '@er-gateway/shared/docs/configuration-page';
import { errorsPage } from '@er-gateway/shared/docs/errors-page';
import { exampleConfig } from '@er-gateway/shared/docs/example-config';
import { errorCatalogue } from '@er-gateway/shared/errors/catalogue';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '../../..');
const stored = (file: string) => readFileSync(join(root, file), 'utf8');
const remedy = 'run: npx node shared/src/docs/write-docs.ts';

test('docs/configuration.md is what the schema says', () => {
  assert.equal(stored('docs/configuration.md'), configurationPage(), remedy);
});

test('er.config.example.yaml is what the schema says', () => {
  assert.equal(stored('er.config.example.yaml'), exampleConfig(), remedy);
});

test('docs/errors.md is what the catalogue says', () => {
  assert.equal(stored('docs/errors.md'), errorsPage(), remedy);
});

test('the configuration page names each setting and its variable once', () => {
  const page = configurationPage();
  for (const { variable } of settingLeaves())
    assert.equal(page.split(`| \`${variable}\` |`).length, 2, variable);
});

test('the errors page has a row for each code with its status', () => {
  for (const [code, { status }] of Object.entries(errorCatalogue)) {
    assert.ok(errorsPage().includes(`| ${status} | \`${code}\` |`), code);
  }
});

test('the example satisfies the schema, names every setting, and says the defaults', () => {
  const example: unknown = parse(exampleConfig());
  assert.deepEqual(configSchema.parse(example), configSchema.parse({}));
  for (const { path } of settingLeaves()) {
    const value = path.reduce<unknown>((node, name) => (node as Record<string, unknown>)[name], example);
    assert.notEqual(value, undefined, path.join('.'));
  }
});

test('a copy of the example as er.config.yaml changes nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'er-docs-'));
  try {
    const bare = resolveConfig(folder, {});
    writeFileSync(join(folder, 'er.config.yaml'), exampleConfig());
    assert.deepEqual(resolveConfig(folder, {}), bare);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the README names only settings, commands and files that exist', () => {
  const readme = stored('README.md');
  const variables = new Set(settingLeaves().map(leaf => leaf.variable));
  for (const [name] of readme.matchAll(/\bER_[A-Z_]+\b/g)) {
    assert.ok(variables.has(name) || name === 'ER_CONFIG', `${name} is no setting`);
  }
  const { scripts } = JSON.parse(stored('package.json')) as { scripts: Record<string, string> };
  for (const [, name = ''] of readme.matchAll(/\bnpm run ([\w:]+)/g))
    assert.ok(scripts[name], `npm run ${name}`);
  for (const [, target = ''] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    assert.ok(stored(target).length > 0, target);
  }
});
