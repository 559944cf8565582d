import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { configSchema } from '@er-gateway/shared/config/schema';
import { seriesOf } from '../kit/process-status.ts';
import { waitFor } from '../kit/wait-for.ts';
import { membersOf, Supervised } from './fixtures/supervised.ts';

const { niceness } = configSchema.parse({}).models.embedding;
const fakeVllm = join(import.meta.dirname, '..', 'fake-model', 'vllm');

describe('a supervisor with a model server that works', () => {
  for (const role of ['embedding', 'reranker'] as const) {
    it(`shows the ${role} as ready after one real answer, and leaves nothing when stopped`, async t => {
      const place = await Supervised.create(t, {
        role,
        environment: { REDIS_URL: 'redis://:pw@127.0.0.1/0', SOME_API_KEY: 'x' },
      });
      const supervisor = place.start('grandchild');
      const pgid = await place.untilReady(supervisor);

      assert.equal(place.pidFile(), `${pgid}\n`);
      const members = membersOf(pgid);
      assert.equal(members.length, 2);
      for (const pid of members) assert.equal(getPriority(pid) - getPriority(), niceness, 'all give way');
      if (existsSync(`/proc/${pgid}/autogroup`)) {
        assert.match(readFileSync(`/proc/${pgid}/autogroup`, 'utf8'), new RegExp(`nice ${niceness}$`, 'm'));
      }
      assert.match(place.log(), /--- \S+ running .*--role/);
      const childEnvironment =
        place
          .log()
          .match(/^environment: (.*)$/m)?.[1]
          ?.split(' ') ?? [];
      assert.ok(childEnvironment.includes('PATH'));
      for (const name of ['NODE_CHANNEL_FD', 'REDIS_URL', 'SOME_API_KEY']) {
        assert.ok(!childEnvironment.includes(name), `${name} reached the model server`);
      }
      const status = (await place.control(supervisor)) as Record<string, unknown>;
      const expected = {
        app: role,
        role,
        engine: 'builtin',
        state: 'ready',
        pid: pgid,
        port: place.port,
        gpu: null,
      };
      assert.deepEqual({ ...status, ...expected }, status);

      const series = await seriesOf(place.runDir, role);
      const metric = (name: string) => series.get(`er_model_server_${name}{app=${role}}`) ?? Number.NaN;
      assert.equal(metric('starts_total'), 1);
      assert.equal(metric('processes'), 2);
      assert.equal(metric('failed_starts'), 0);
      assert.ok(metric('cpu_seconds_total') > 0, 'node needs more than 10 ms to start');
      assert.ok(metric('resident_memory_bytes') > 2 * 10 ** 7);

      assert.equal(await supervisor.stop(), 0);
      assert.deepEqual(membersOf(pgid), []);
      assert.equal(place.hasPidFile(), false);
      assert.deepEqual(place.runFiles(), [`${role}.starts.json`], 'how long it took to load is kept');
    });
  }

  it('stops it when the PM2 daemon is gone', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start('grandchild');
    const pgid = await place.untilReady(supervisor);
    supervisor.loseDaemon();
    assert.equal(await supervisor.exited, 0);
    assert.deepEqual(membersOf(pgid), []);
  });

  it('runs it with its output thrown away, and says so once, when the log cannot be written', async t => {
    const place = await Supervised.create(t);
    mkdirSync(join(place.logsDir, 'embedding_model.log'), { recursive: true });
    const supervisor = place.start();
    await place.untilReady(supervisor);
    assert.equal(supervisor.output.match(/output is thrown away: EISDIR/g)?.length, 1);
    assert.equal(await supervisor.stop(), 0);
  });

  it('runs it when the folder of logs and pid files cannot be made', async t => {
    const place = await Supervised.create(t, { logsDir: '/dev/null/logs' });
    const supervisor = place.start();
    await place.untilReady(supervisor);
    assert.match(supervisor.output, /the pid file cannot be written/);
    assert.equal(await supervisor.stop(), 0);
  });
});

describe('a supervisor that is asked to stop a model server which will not', () => {
  it('sends SIGTERM again when the first was lost while loading', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start('lose-first-term,never-ready');
    await waitFor('the model server to load', () => place.status()?.detail === 'loading weights 1/2');
    assert.equal(await supervisor.stop(), 0);
    assert.match(place.log(), /SIGTERM 2$/m);
  });

  it('kills the whole group after the grace', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start('ignore-term,grandchild');
    const pgid = await place.untilReady(supervisor);
    assert.equal(await supervisor.stop(), 0);
    assert.match(place.log(), /SIGTERM 1$/m);
    assert.deepEqual(membersOf(pgid), []);
  });
});

describe('a supervisor whose model server ends by itself', () => {
  it('exits with 1 though the server exited with 0, kills the rest of its group, and waits before the next start', async t => {
    const place = await Supervised.create(t);
    const first = place.start('grandchild');
    const pgid = await place.untilReady(first);
    await place.askModelToExit();
    assert.equal(await first.exited, 1);
    assert.deepEqual(membersOf(pgid), []);
    assert.equal(place.hasPidFile(), false);
    const failed = place.status();
    assert.equal(failed?.state, 'stopped');
    assert.equal(failed?.failedStarts, 1);
    assert.match(failed?.lastError ?? '', /ended by itself with exit code 0/);

    const second = place.start();
    const waiting = await waitFor('the back-off', () => {
      const status = place.status();
      return status?.nextStartAt && status.supervisorPid === second.pid ? status : null;
    });
    assert.equal(waiting.state, 'starting');
    assert.equal(waiting.detail, 'waiting 1 s before the next start');
    assert.match(waiting.lastError ?? '', /exit code 0/);
    await place.untilReady(second);
    assert.equal(place.status()?.lastError, null);
    assert.equal(await second.stop(), 0);
  });

  it('names the line of its log that explains it, and stops at once while it waits', async t => {
    const place = await Supervised.create(t);
    assert.equal(await place.start('fail').exited, 1);
    assert.match(place.status()?.lastError ?? '', /exit code 1: ValueError: Free memory on device cuda:0/);
    assert.equal(await place.start('fail').exited, 1);
    assert.equal(place.status()?.failedStarts, 2);

    const third = place.start('fail');
    await waitFor('the back-off', () => place.status()?.nextStartAt);
    assert.equal(await third.stop(), 0);
    assert.equal(place.status(), null);
    const fourth = place.start();
    await place.untilReady(fourth);
    assert.equal(place.status()?.failedStarts, 0, 'a stop on purpose forgets the failures');
    assert.equal(await fourth.stop(), 0);
  });

  it('exits with 1 when the server was killed with -9', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start('grandchild');
    const pgid = await place.untilReady(supervisor);
    process.kill(pgid, 'SIGKILL');
    assert.equal(await supervisor.exited, 1);
    assert.deepEqual(membersOf(pgid), []);
    assert.match(place.status()?.lastError ?? '', /was killed by SIGKILL/);
  });

  it('exits with 1 when the server is up but answers nonsense', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start('bad-vector,grandchild');
    const { pid } = await place.until(supervisor, 'testing');
    assert.ok(pid);
    assert.equal(await supervisor.exited, 1);
    assert.match(place.status()?.lastError ?? '', /does not work: an embedding has length 5/);
    assert.deepEqual(membersOf(pid), []);
  });
});

describe('a supervisor whose model server never starts', () => {
  it('gives up after five starts in a row: state failed, the reason in one line, exit code 78', async t => {
    const place = await Supervised.create(t);
    assert.equal(await place.start('fail').exited, 1);
    writeFileSync(join(place.runDir, 'embedding.starts.json'), JSON.stringify({ failedStarts: 4 }));
    assert.equal(await place.start('fail').exited, 78);
    const status = place.status();
    assert.equal(status?.state, 'failed');
    assert.match(
      status?.detail ?? '',
      /^gave up after 5 starts: the model server ended .* 1: ValueError: Free memory on device cuda:0.*$/,
    );
    const again = place.start();
    await place.untilReady(again);
    assert.equal(await again.stop(), 0);
  });
});

describe('a supervisor whose model server hangs', { concurrency: true }, () => {
  for (const [load, isIdle] of [
    ['idle', true],
    ['under load', false],
  ] as const) {
    it(`finds it within 30 s when it is ${load}, and ends it, though /health is 200`, async t => {
      const place = await Supervised.create(t, { engine: 'vllm', vllmCommand: fakeVllm });
      const supervisor = place.start();
      const pgid = await place.untilReady(supervisor);
      const model = `http://127.0.0.1:${place.port}`;
      await fetch(`${model}/__fault`, { method: 'POST', body: JSON.stringify({ mode: 'hang' }) });
      const begin = performance.now();
      const calls = isIdle ? [] : Array.from({ length: 8 }, () => embed(model).catch(() => {}));
      assert.equal((await fetch(`${model}/health`)).status, 200);
      await waitFor('doubt', () => place.status()?.state === 'degraded', { timeoutMs: 30_000 });
      assert.equal(await supervisor.exited, 1);
      assert.ok(performance.now() - begin < 30_000, `${performance.now() - begin} ms`);
      assert.match(place.status()?.lastError ?? '', /^it hangs: no answer and no work done for 20 s/);
      assert.deepEqual(membersOf(pgid), []);
      await Promise.all(calls);
    });
  }

  const embed = (url: string) =>
    fetch(`${url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ input: 'a' }) });

  it('finds a stopped one (kill -STOP) too', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start();
    const pgid = await place.untilReady(supervisor);
    process.kill(pgid, 'SIGSTOP');
    const begin = performance.now();
    assert.equal(await supervisor.exited, 1);
    assert.ok(performance.now() - begin < 30_000, `${performance.now() - begin} ms`);
    assert.match(place.status()?.lastError ?? '', /^it hangs/);
    assert.deepEqual(membersOf(pgid), []);
  });
});

describe("a model server's log", () => {
  it('is put away and compressed while it is written, and loses nothing', async t => {
    const place = await Supervised.create(t, {
      environment: { ER_LOGS_MODEL_MAX_BYTES: '20000', ER_LOGS_MODEL_FILES: '100' },
    });
    const supervisor = place.start('chatty');
    await place.untilReady(supervisor);
    assert.equal(await supervisor.stop(), 0);
    const names = readdirSync(place.logsDir).filter(name => name.endsWith('.gz'));
    assert.ok(names.length > 1, `${names}`);
    const numberOf = (name: string) => Number(/\d+/.exec(name));
    const packed = names.sort((a, b) => numberOf(b) - numberOf(a));
    const whole = packed.map(name => gunzipSync(readFileSync(join(place.logsDir, name))).toString());
    const lines = [...whole, place.log()].join('').match(/^line \d+ of many$/gm) ?? [];
    assert.deepEqual(
      lines,
      Array.from({ length: 10_000 }, (_, line) => `line ${line} of many`),
    );
  });
});

describe('a supervisor that was killed with -9', () => {
  it('takes its model server with it', async t => {
    const place = await Supervised.create(t);
    const supervisor = place.start();
    const pgid = await place.untilReady(supervisor);
    supervisor.kill('SIGKILL');
    await waitFor('the model server to end', () => membersOf(pgid).length === 0);
  });

  it('is followed by one that removes what it left, before it starts anew', async t => {
    const place = await Supervised.create(t);
    const first = place.start('ignore-term,grandchild');
    const leftover = await place.untilReady(first);
    first.kill('SIGKILL');
    await first.exited;
    assert.equal(membersOf(leftover).length, 2);

    const second = place.start();
    const pgid = await place.untilReady(second);
    assert.deepEqual(membersOf(leftover), []);
    assert.notEqual(pgid, leftover);
    assert.match(second.output, new RegExp(`killed a model server .*${leftover}`));
    assert.equal(await second.stop(), 0);
  });

  it('is followed by one that removes what is left of a group without its leader', async t => {
    const place = await Supervised.create(t);
    const first = place.start('grandchild');
    const leftover = await place.untilReady(first);
    first.kill('SIGKILL');
    await waitFor('the leader to end', () => !membersOf(leftover).includes(leftover));
    assert.equal(membersOf(leftover).length, 1);

    const second = place.start();
    await place.untilReady(second);
    assert.deepEqual(membersOf(leftover), []);
    assert.equal(await second.stop(), 0);
  });

  it('lets a group alone that has taken over the number', async t => {
    const place = await Supervised.create(t);
    const first = place.start();
    await place.untilReady(first);
    const bystander = await Supervised.create(t);
    const other = bystander.start();
    const pgid = await bystander.untilReady(other);
    const groupFile = join(place.runDir, 'embedding.group.json');
    const { default: record } = (await import(groupFile, { with: { type: 'json' } })) as { default: object };
    first.kill('SIGKILL');
    await first.exited;
    writeFileSync(groupFile, JSON.stringify({ ...record, pgid, startTicks: 1 }));

    const second = place.start();
    await place.untilReady(second);
    assert.equal(membersOf(pgid).length, 1);
    assert.equal(await second.stop(), 0);
    assert.equal(await other.stop(), 0);
  });
});

describe('two supervisors of one model', () => {
  it('do not kill each other: the second waits for the end of the first', async t => {
    const place = await Supervised.create(t);
    const first = place.start();
    const pgid = await place.untilReady(first);
    const second = place.start();
    await waitFor('the second to wait', () => place.status()?.detail.includes(`(pid ${first.pid})`));
    assert.equal(membersOf(pgid).length, 1);
    assert.equal(await first.stop(), 0);
    await place.untilReady(second);
    assert.equal(await second.stop(), 0);
  });
});

describe('a supervisor that cannot start before somebody changes something', () => {
  it('exits with 78 and names the setting when the port is taken', async t => {
    const place = await Supervised.create(t);
    const foreign = createServer().listen(place.port, '127.0.0.1');
    t.after(() => foreign.close());
    const supervisor = place.start();
    assert.equal(await supervisor.exited, 78);
    assert.match(supervisor.output, new RegExp(`listens on port ${place.port}; see which with "ss -ltnp`));
    assert.match(supervisor.output, /ER_MODELS_EMBEDDING_PORT/);
    assert.equal(place.status()?.state, 'failed');
  });

  it('exits with 78 when there is no vllm program', async t => {
    const place = await Supervised.create(t, { engine: 'vllm', vllmCommand: '/no/such/vllm' });
    const supervisor = place.start();
    assert.equal(await supervisor.exited, 78);
    assert.match(supervisor.output, /no program \/no\/such\/vllm found .*ER_VLLM_COMMAND/);
    assert.match(place.status()?.lastError ?? '', /no program/);
  });
});

describe('a supervisor whose driver is in trouble', () => {
  it('backs off and gives up after five starts, with what nvidia-smi said as the last line of its log', async t => {
    const tools = mkdtempSync(join(tmpdir(), 'er-smi-'));
    t.after(() => rmSync(tools, { recursive: true }));
    const line = 'Failed to initialize NVML: Driver/library version mismatch';
    writeFileSync(join(tools, 'nvidia-smi'), `#!/bin/sh\necho '${line}'\nexit 18\n`, { mode: 0o755 });
    const place = await Supervised.create(t, {
      engine: 'vllm',
      vllmCommand: fakeVllm,
      environment: { PATH: `${tools}:${process.env.PATH}`, ER_VLLM_DEVICE: 'auto' },
    });
    assert.equal(await place.start().exited, 1);
    assert.equal(place.status()?.state, 'stopped');
    assert.equal(place.status()?.failedStarts, 1);

    const waiting = place.start();
    await waitFor('the back-off', () => place.status()?.detail === 'waiting 1 s before the next start');
    waiting.kill('SIGKILL');
    await waiting.exited;
    writeFileSync(join(place.runDir, 'embedding.starts.json'), JSON.stringify({ failedStarts: 4 }));
    const last = place.start();
    assert.equal(await last.exited, 78);
    assert.match(place.status()?.detail ?? '', /^gave up after 5 starts: nvidia-smi fails: Failed to init/);
    assert.match(last.output.trim().split('\n').at(-1) ?? '', new RegExp(line));
  });
});

describe('a supervisor of vllm on a GPU', () => {
  it('pins it, and starts it only when the memory that it asks for is free', async t => {
    const tools = mkdtempSync(join(tmpdir(), 'er-smi-'));
    t.after(() => rmSync(tools, { recursive: true }));
    const memory = join(tools, 'memory');
    writeFileSync(memory, '1024, 81920\n');
    writeFileSync(
      join(tools, 'nvidia-smi'),
      `#!/bin/sh\ncase "$1" in -L) printf 'GPU 0: A (UUID: 1)\\nGPU 1: A (UUID: 2)\\n';; *) cat ${memory};; esac\n`,
      { mode: 0o755 },
    );
    const place = await Supervised.create(t, {
      engine: 'vllm',
      vllmCommand: fakeVllm,
      environment: { PATH: `${tools}:${process.env.PATH}`, ER_VLLM_DEVICE: 'auto' },
    });
    const supervisor = place.start();
    const wait = 'waiting for GPU 1: 1.0 GiB are free, 72.0 are wanted';
    await waitFor('the wait', () => place.status()?.detail === wait);
    assert.equal(place.status()?.state, 'starting');
    writeFileSync(memory, '80000, 81920\n');
    const pgid = await place.untilReady(supervisor);
    const status = place.status();
    assert.deepEqual([status?.gpu, status?.gpuMemoryShare], [1, 0.9]);
    assert.match(readFileSync(`/proc/${pgid}/environ`, 'utf8'), /\0CUDA_VISIBLE_DEVICES=1\0/);
    assert.equal(await supervisor.stop(), 0);
  });
});

describe('a supervisor of vllm', () => {
  it('gives up at once when vllm does not know a flag, and names it', async t => {
    const place = await Supervised.create(t, {
      engine: 'vllm',
      vllmCommand: fakeVllm,
      environment: { ER_MODELS_EMBEDDING_EXTRA_ARGS: '["--no-such-flag"]' },
    });
    assert.equal(await place.start().exited, 78);
    assert.equal(place.status()?.state, 'failed');
    assert.match(place.status()?.detail ?? '', /exit code 2: .*--no-such-flag/);
  });

  for (const role of ['embedding', 'reranker'] as const) {
    it(`starts the ${role} with flags that vllm takes, and stops its engine process too`, async t => {
      const place = await Supervised.create(t, { role, engine: 'vllm', vllmCommand: fakeVllm });
      const supervisor = place.start();
      const pgid = await place.untilReady(supervisor);
      assert.equal(membersOf(pgid).length, 2);
      assert.equal(await supervisor.stop(), 0);
      assert.deepEqual(membersOf(pgid), []);
    });
  }

  it('counts the death of the engine as a failure, though vllm exits with 0', async t => {
    const place = await Supervised.create(t, { engine: 'vllm', vllmCommand: fakeVllm });
    const supervisor = place.start();
    const pgid = await place.untilReady(supervisor);
    const engine = membersOf(pgid).find(pid => pid !== pgid);
    assert.ok(engine);
    process.kill(engine, 'SIGKILL');
    assert.equal(await supervisor.exited, 1);
    assert.match(place.status()?.lastError ?? '', /ended by itself with exit code 0/);
    assert.deepEqual(membersOf(pgid), []);
  });
});
