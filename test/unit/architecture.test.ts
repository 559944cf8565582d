import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const text = (file: string) => readFileSync(join(root, file), 'utf8');
const json = (file: string) => JSON.parse(text(file)) as unknown;
const files = (...patterns: string[]) =>
  globSync(patterns, { cwd: root, exclude: name => name === 'node_modules' || name === 'dist' }).toSorted();

/** Everything that runs in production or starts it. */
const sources = files(
  'apps/**/*.{ts,cjs,mjs}',
  'supervisor/**/*.ts',
  'shared/**/*.ts',
  'ecosystem.config.js',
);
const packages = files(
  'apps/*/package.json',
  'supervisor/package.json',
  'shared/package.json',
  'test/package.json',
).map(file => file.slice(0, -'/package.json'.length));

/** Modules that a file imports or requires, types too. */
const importsOf = (file: string) =>
  [...text(file).matchAll(/(?:\bfrom|\bimport|\brequire\(|\bimport\()\s*'([^']+)'/g)].map(
    match => match[1] ?? '',
  );

/** The files that import `module` or a part of it. */
const importersOf = (module: string) =>
  sources.filter(file => importsOf(file).some(name => name === module || name.startsWith(`${module}/`)));

const packageOf = (file: string) => packages.find(folder => file.startsWith(`${folder}/`));

test('the rules below see the sources', () => {
  assert.ok(sources.length > 100, `${sources.length} files`);
  assert.deepEqual(importsOf('apps/state/src/main.ts').includes('@er-gateway/shared/lifecycle'), true);
});

describe('imports', () => {
  test('apps and the supervisor import shared, never each other, and shared imports none of them', () => {
    for (const file of sources.filter(name => packageOf(name))) {
      const own = packageOf(file);
      for (const name of importsOf(file)) {
        if (name.startsWith('@er-gateway/')) assert.match(name, /^@er-gateway\/shared\//, `${file}: ${name}`);
        if (name.startsWith('.')) {
          assert.equal(packageOf(join(file, '..', name)), own, `${file}: ${name} is in another package`);
        }
      }
    }
  });

  test('no source imports from test', () => {
    for (const file of sources) {
      assert.ok(!importsOf(file).some(name => join(file, '..', name).startsWith('test/')), file);
    }
  });

  test('only the gateway knows express and http-proxy-middleware', () => {
    for (const module of ['express', 'http-proxy-middleware']) {
      const importers = importersOf(module);
      assert.ok(importers.length > 0, module);
      for (const file of importers) assert.match(file, /^apps\/gateway\/src\//, module);
    }
  });

  test('only one driver of the state interface knows Redis', () => {
    const importers = importersOf('ioredis');
    assert.ok(importers.length > 0);
    for (const file of importers) assert.match(file, /^shared\/src\/state\/redis/);
  });

  test('nothing imports pm2: it is under the AGPL, and is run as a command', () => {
    assert.deepEqual(importersOf('pm2'), []);
  });

  test('only who must start processes can', () => {
    const allowed = [
      'apps/cli/bootstrap.cjs', // npm ci, the build, the command line itself
      'apps/cli/node-version.cjs', // asks the PM2 daemon's node for its version
      'apps/cli/src/pm2.ts', // pm2
      'apps/cli/src/run-node.ts', // node for tests, benches and the build
      'apps/cli/src/gpus.ts', // nvidia-smi
      'apps/monitor/src/gpu-sample.ts', // nvidia-smi
      'supervisor/src/child.ts', // model servers
    ];
    const found = importersOf('node:child_process');
    assert.ok(found.includes('supervisor/src/child.ts'));
    assert.deepEqual(
      found.filter(file => !allowed.includes(file)),
      [],
    );
  });
});

describe('the environment and the end of a process', () => {
  const using = (pattern: RegExp) => sources.filter(file => pattern.test(text(file)));

  test('process.env is read where a process begins, and nowhere else: everybody else gets the configuration', () => {
    const allowed = [
      'apps/cli/bootstrap.cjs', // hands the caller's environment on
      'apps/cli/build.mjs', // writes start scripts
      'apps/cli/load-bundle.cjs', // the first lines of a process
      'apps/cli/src/ecosystem.ts', // PM2 copies the environment of its command: secrets leave it here
      'apps/cli/src/main.ts', // the command line's entry
      'ecosystem.config.js', // the PM2 command's entry
      'shared/src/config/effective-config.ts', // the configuration's default source
      'shared/src/lifecycle.ts', // the number that PM2 gives a worker
      'supervisor/src/main.ts', // a model server inherits the environment
    ];
    const found = using(/\bprocess\.env\b/);
    assert.ok(found.length > 0);
    assert.deepEqual(
      found.filter(file => !allowed.includes(file)),
      [],
    );
  });

  test('only entries end the process', () => {
    for (const file of using(/\bprocess\.exit\(/)) {
      assert.match(
        file,
        /\/src\/main\.ts$|^apps\/cli\/(bootstrap\.cjs|node-version\.cjs|build\.mjs|load-bundle\.cjs|src\/ecosystem\.ts)$|^ecosystem\.config\.js$|^shared\/src\/lifecycle\.ts$/,
      );
    }
  });
});

describe('size and documents', () => {
  test('no source has more than 350 lines', () => {
    for (const file of sources.filter(name => name.includes('/src/'))) {
      const lines = text(file).split('\n').length;
      assert.ok(lines <= 350, `${file}: ${lines} lines`);
    }
  });

  test('no source is named for what everything could be in', () => {
    for (const file of sources) assert.doesNotMatch(file, /(utils?|helpers?|common|manager)\.\w+$/);
  });

  test('each package has a design.md, and the root has one that links to it', () => {
    const overview = text('design.md');
    for (const folder of packages) {
      assert.ok(existsSync(join(root, folder, 'design.md')), `${folder}/design.md`);
      assert.ok(
        overview.includes(`](${folder}/design.md)`),
        `design.md does not link to ${folder}/design.md`,
      );
    }
  });
});

describe('dependencies', () => {
  interface Locked {
    version?: string;
    resolved?: string;
    link?: boolean;
    dev?: boolean;
  }
  const locked = Object.entries((json('package-lock.json') as { packages: Record<string, Locked> }).packages);

  test('the lock file names no registry: npm takes packages from the one it is set up for', () => {
    for (const [path, { resolved, link }] of locked) {
      if (resolved !== undefined) assert.ok(link, `${path}: ${resolved}`);
    }
  });

  test('every version is exact', () => {
    for (const file of ['package.json', ...packages.map(folder => `${folder}/package.json`)]) {
      const { dependencies = {}, devDependencies = {} } = json(file) as Record<
        string,
        Record<string, string>
      >;
      for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
        assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${file}: ${name}`);
      }
    }
  });

  test('what is installed for production is under a licence that asks for no more than its notice', () => {
    const allowed = new Set([
      '0BSD',
      'Apache-2',
      'Apache-2.0',
      'BlueOak-1.0.0',
      'BSD-2-Clause',
      'BSD-3-Clause',
      'ISC',
      'MIT',
      'Python-2.0',
    ]);
    const exceptions = new Map([
      ['pm2', 'AGPL-3.0'], // run as a command, never imported, not changed
    ]);
    // No licence in its package.json; its LICENSE file is MIT's.
    const unnamed = new Set(['cli-tableau']);
    let seen = 0;
    for (const [path, { link, dev }] of locked) {
      const file = `${path}/package.json`;
      // Parts for other systems are in the lock file and not on this disk.
      if (!path.includes('node_modules/') || link || dev || !existsSync(join(root, file))) continue;
      const found = json(file) as { name: string; license?: unknown };
      const licences = licencesOf(found.license);
      seen++;
      if (unnamed.has(found.name) && licences.length === 0) continue;
      assert.ok(
        licences.some(licence => allowed.has(licence) || exceptions.get(found.name) === licence),
        `${found.name}: ${licences.join(', ') || 'no licence'}`,
      );
    }
    assert.ok(seen > 100, `${seen} packages`);
  });
});

/** Licences of a package.json, of which any may be chosen. */
function licencesOf(field: unknown): string[] {
  if (typeof field === 'string') return field.replace(/^\((.*)\)$/, '$1').split(' OR ');
  if (Array.isArray(field)) return field.flatMap(licencesOf);
  const type = (field as { type?: unknown } | undefined)?.type;
  return typeof type === 'string' ? [type] : [];
}
