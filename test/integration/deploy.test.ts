import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { settingLeaves } from '@er-gateway/shared/config/environment';
import { parse } from 'yaml';
import { z } from 'zod';
import { projectRoot } from '../kit/stack.ts';

const folder = join(projectRoot, 'supervisor/deploy');
const read = (name: string) => readFileSync(join(folder, name), 'utf8');
const succeeds = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;

const settings = new Set(settingLeaves().map(({ path }) => `ER_${path.join('_').toUpperCase()}`));
const scripts = new Set(
  Object.keys(
    (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { scripts: object }).scripts,
  ),
);

test('every setting that a unit names exists', () => {
  for (const name of ['er-gateway.service', 'Dockerfile', 'compose.yaml']) {
    const named = read(name).match(/\bER_[A-Z_]+[A-Z]\b/g) ?? [];
    assert.ok(named.length > 0, name);
    for (const setting of named) assert.ok(settings.has(setting), `${name}: ${setting}`);
  }
});

describe('er-gateway.service', () => {
  const unit = read('er-gateway.service');
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];

  test('runs scripts that there are, not as root, and ends the whole group', () => {
    const npm = [...unit.matchAll(/^Exec\w+=\/usr\/bin\/env npm (?:run )?(\w+)(?: -- --detach)?$/gm)].map(
      ([, script = '']) => script,
    );
    assert.deepEqual(npm, ['start', 'stop', 'reload']);
    assert.match(
      value('ExecStart') ?? '',
      / -- --detach$/,
      'a model that cannot start must not end the unit',
    );
    for (const script of npm) assert.ok(scripts.has(script), script);
    assert.equal(value('User'), 'er-gateway');
    assert.equal(value('KillMode'), 'control-group');
    assert.equal(value('PIDFile'), '/var/lib/er-gateway/pm2/pm2.pid');
  });

  // Only where systemd is installed.
  if (succeeds('systemd-analyze', '--version')) {
    test('systemd-analyze verify finds nothing wrong', t => {
      const place = mkdtempSync(join(tmpdir(), 'er-unit-'));
      t.after(() => rmSync(place, { recursive: true }));
      // Its folder is not on this machine, and so much systemd looks at.
      const here = unit.replaceAll('/opt/er-gateway', projectRoot);
      writeFileSync(join(place, 'er-gateway.service'), here);
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', join(place, 'er-gateway.service')], {
        encoding: 'utf8',
      });
      const ours = stderr.split('\n').filter(line => line.includes('er-gateway.service'));
      assert.deepEqual(ours, []);
      assert.equal(status, 0, stderr);
    });
  }
});

describe('Dockerfile', () => {
  const lines = read('Dockerfile').replaceAll('\\\n', ' ').split('\n');
  const instructions = lines
    .filter(line => line.trim() !== '' && !line.startsWith('#'))
    .map(line => /^(\w+)\s+(.*)$/.exec(line)?.slice(1) ?? ['?', line]);
  const of = (name: string) => instructions.filter(([word]) => word === name).map(([, rest = '']) => rest);

  test('is made of instructions that docker knows', () => {
    const known = [
      'ARG',
      'FROM',
      'ENV',
      'RUN',
      'WORKDIR',
      'USER',
      'COPY',
      'EXPOSE',
      'VOLUME',
      'HEALTHCHECK',
      'STOPSIGNAL',
      'ENTRYPOINT',
      'CMD',
    ];
    for (const [word = ''] of instructions) assert.ok(known.includes(word), word);
    for (const json of [...of('CMD'), ...of('ENTRYPOINT'), ...of('VOLUME')])
      assert.ok(Array.isArray(JSON.parse(json)), json);
  });

  test('starts on a CUDA base, builds and runs as a user, with a health check on a route that there is', () => {
    assert.match(of('ARG')[0] ?? '', /^CUDA_IMAGE=nvidia\/cuda:/);
    assert.deepEqual(of('USER'), ['er-gateway']);
    const words = instructions.map(([word]) => word);
    assert.ok(words.indexOf('USER') < words.lastIndexOf('RUN'));
    assert.match(of('HEALTHCHECK')[0] ?? '', /127\.0\.0\.1:2048\/health\/live/);
    assert.deepEqual(JSON.parse(of('CMD')[0] ?? '[]').slice(1, 3), ['start', 'ecosystem.config.js']);
  });

  test('takes no key, no log and no build of this machine into the image', () => {
    const left = read('Dockerfile.dockerignore').split('\n');
    for (const name of ['er_api_keys.json', 'node_modules', 'dist', 'logs/*', '.git'])
      assert.ok(left.includes(name), name);
  });

  test('takes the manifest of every workspace: without one npm would never be content with what is installed', () => {
    const left = read('Dockerfile.dockerignore').split('\n');
    const { workspaces } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
      workspaces: string[];
    };
    for (const workspace of workspaces) {
      assert.ok(!left.includes(workspace), workspace);
      if (left.includes(`${workspace}/*`)) assert.ok(left.includes(`!${workspace}/package.json`), workspace);
    }
  });

  // Only where a daemon runs; a build takes gigabytes, so it is checked, not run.
  if (succeeds('docker', 'info') && succeeds('docker', 'buildx', 'version')) {
    test('docker build --check finds nothing wrong', () => {
      execFileSync('docker', ['build', '--check', '-f', join(folder, 'Dockerfile'), projectRoot]);
    });
  }
});

describe('compose.yaml', () => {
  const service = z.strictObject({
    build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
    image: z.string(),
    restart: z.enum(['no', 'always', 'on-failure', 'unless-stopped']),
    init: z.boolean().optional(),
    stop_grace_period: z
      .string()
      .regex(/^\d+s$/)
      .optional(),
    depends_on: z
      .record(z.string(), z.strictObject({ condition: z.enum(['service_started', 'service_healthy']) }))
      .optional(),
    ports: z.array(z.string().regex(/^\d+:\d+$/)).optional(),
    environment: z.record(z.string(), z.string()).optional(),
    command: z.array(z.string()).optional(),
    volumes: z.array(z.string()).optional(),
    shm_size: z.string().optional(),
    ulimits: z.record(z.string(), z.int()).optional(),
    healthcheck: z
      .strictObject({
        test: z.array(z.string()),
        interval: z.string(),
        timeout: z.string(),
        retries: z.int(),
      })
      .optional(),
    deploy: z
      .strictObject({
        resources: z.strictObject({
          reservations: z.strictObject({
            devices: z.array(
              z.strictObject({
                driver: z.literal('nvidia'),
                count: z.int(),
                capabilities: z.array(z.string()),
              }),
            ),
          }),
        }),
      })
      .optional(),
  });
  const file = z.strictObject({
    name: z.string(),
    services: z.record(z.string(), service),
    volumes: z.record(z.string(), z.null()),
  });

  test('is a Compose file whose services, volumes and files are there', () => {
    const { services, volumes } = file.parse(parse(read('compose.yaml')));
    for (const { depends_on: needs = {}, volumes: mounts = [], build } of Object.values(services)) {
      for (const name of Object.keys(needs)) assert.ok(services[name]?.healthcheck, name);
      for (const mount of mounts.filter(name => /^\w/.test(name)))
        assert.ok((mount.split(':')[0] ?? '') in volumes, mount);
      if (build) assert.ok(existsSync(join(folder, build.context, build.dockerfile)));
    }
    assert.deepEqual(services.gateway?.deploy?.resources.reservations.devices[0]?.count, 2);
  });

  // Only where docker has it.
  if (succeeds('docker', 'compose', 'version')) {
    test('docker compose config takes it', () => {
      execFileSync('docker', ['compose', '-f', join(folder, 'compose.yaml'), 'config', '--quiet']);
    });
  }
});
