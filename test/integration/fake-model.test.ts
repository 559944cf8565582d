import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { type FakeModel, startFakeModel } from '../kit/fake-model.ts';
import { freePort } from '../kit/free-port.ts';
import { waitFor } from '../kit/wait-for.ts';

/** The misdeeds of the fake, which no real server can be held to. What it answers is in model-contract.test.ts. */

const fakeModelFolder = join(import.meta.dirname, '../fake-model');

describe('faults ordered at run time', () => {
  let fake: FakeModel;
  before(async () => {
    fake = await startFakeModel({ role: 'embedding' });
  });
  afterEach(() => fake.fault({ mode: 'none' }));
  after(() => fake.stop());
  const embed = (init: RequestInit = {}) =>
    fetch(`${fake.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: ['a', 'b'] }),
      ...init,
    });

  it('hits as many requests as were ordered, and none after', async () => {
    await fake.fault({ mode: 'status-500', count: 2 });
    assert.deepEqual(
      [(await embed()).status, (await embed()).status, (await embed()).status],
      [500, 500, 200],
    );
  });

  it('hits only the path that was ordered', async () => {
    await fake.fault({ mode: 'status', status: 503, path: '/rerank' });
    assert.equal((await embed()).status, 200);
  });

  it('hang never answers, stays healthy, and counts the hang-up', async () => {
    await fake.forget();
    await fake.fault({ mode: 'hang' });
    const hangUp = new AbortController();
    const call = embed({ signal: hangUp.signal });
    call.catch(() => {});
    await waitFor('the call', async () => (await fake.seen()).inFlight === 1);
    assert.equal((await fetch(`${fake.url}/health`)).status, 200);
    hangUp.abort();
    await waitFor('the hang-up', async () => (await fake.seen()).cancelled === 1);
    assert.equal((await fake.seen()).inFlight, 0);
  });

  it('reset closes the connection before the answer, reset-mid-answer within it', async () => {
    await fake.fault({ mode: 'reset', count: 1 });
    await assert.rejects(embed());
    await fake.fault({ mode: 'reset-mid-answer', count: 1 });
    const answer = await embed();
    assert.equal(answer.status, 200);
    await assert.rejects(answer.text());
  });

  it('wrong-count leaves out the last item, nan spoils the numbers', async () => {
    await fake.fault({ mode: 'wrong-count' });
    assert.equal(((await (await embed()).json()) as { data: unknown[] }).data.length, 1);
    await fake.fault({ mode: 'nan' });
    const body = JSON.stringify({ input: 'a', encoding_format: 'bytes_only' });
    const bytes = Buffer.from(await (await embed({ body })).arrayBuffer());
    assert.ok(Number.isNaN(bytes.readFloatLE(0)));
  });

  it('slow answers later', async () => {
    await fake.fault({ mode: 'slow', ms: 150, count: 1 });
    const start = performance.now();
    assert.equal((await embed()).status, 200);
    assert.ok(performance.now() - start >= 149);
  });

  it('loading refuses connections, then is back on the same port', async () => {
    await fake.fault({ mode: 'loading', ms: 300 });
    await waitFor(
      'a refused connection',
      () =>
        embed().then(
          () => false,
          error => (error as { cause?: { code?: string } }).cause?.code === 'ECONNREFUSED',
        ),
      { intervalMs: 5 },
    );
    await waitFor('the server', async () => (await embed()).status === 200);
  });
});

it('engine-dead answers 500, is unhealthy, and ends the process with exit code 0', async () => {
  const fake = await startFakeModel();
  await fake.fault({ mode: 'engine-dead' });
  assert.equal((await fetch(`${fake.url}/health`)).status, 503);
  const answer = await fetch(`${fake.url}/v1/embeddings`, { method: 'POST', body: '{}' });
  assert.equal(answer.status, 500);
  assert.match(await answer.text(), /EngineCore encountered an issue/);
  assert.equal(await fake.exited, 0);
});

it('a call costs what was set, one call at a time', async () => {
  const fake = await startFakeModel({ overheadMs: 20, perInputMs: 10 });
  try {
    const start = performance.now();
    await Promise.all(
      [1, 2, 3].map(() =>
        fetch(`${fake.url}/v1/embeddings`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ input: ['a', 'b'] }),
        }),
      ),
    );
    assert.ok(performance.now() - start >= 3 * (20 + 2 * 10) - 1);
    assert.deepEqual((await fake.seen()).batches, [2, 2, 2]);
  } finally {
    await fake.stop();
  }
});

it('refuses a call over --max-num-queued-reqs with 503', async () => {
  const fake = await startFakeModel({ maxNumQueuedReqs: 1 });
  try {
    const answer = await fetch(`${fake.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: ['a', 'b'] }),
    });
    assert.equal(answer.status, 503);
  } finally {
    await fake.stop();
  }
});

describe('the program that poses as vllm', () => {
  const folder = mkdtempSync(join(tmpdir(), 'er-fake-vllm-'));
  const running: ChildProcess[] = [];
  after(async () => {
    for (const child of running) {
      try {
        process.kill(-(child.pid as number), 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
    rmSync(folder, { recursive: true });
  });

  const serve = (port: number, env: Record<string, string> = {}, ...more: string[]) => {
    const child = spawn(
      join(fakeModelFolder, 'vllm'),
      ['serve', folder, '--runner', 'pooling', '--host', '127.0.0.1', '--port', String(port), ...more],
      { env: { ...process.env, ...env }, detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    running.push(child);
    let text = '';
    child.stderr?.on('data', chunk => {
      text += chunk;
    });
    return { child, exited: once(child, 'exit'), stderr: () => text };
  };
  const isUp = (port: number) =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      answer => answer.ok,
      () => false,
    );

  it('tells its version, and refuses flags that vLLM does not have with exit code 2', async () => {
    const run = (...argv: string[]) =>
      new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve => {
        execFile(join(fakeModelFolder, 'vllm'), argv, (error, stdout, stderr) =>
          resolve({ code: error?.code ?? 0, stdout, stderr }),
        );
      });
    assert.deepEqual(await run('--version'), { code: 0, stdout: '0.32.0\n', stderr: '' });
    assert.equal((await run('serve', folder, '--task', 'embed')).code, 2);
    assert.equal((await run('serve', folder, '--runer', 'pooling')).code, 2);
    const missing = await run('serve', join(folder, 'none'), '--runner', 'pooling');
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /HFValidationError/);
  });

  it('fails as many starts as ordered for want of GPU memory, with exit code 1', async () => {
    const file = join(folder, 'fail');
    writeFileSync(file, '1');
    const first = serve(await freePort(), { FAKE_VLLM_FAIL_FILE: file });
    assert.deepEqual((await first.exited)[0], 1);
    assert.match(first.stderr(), /Free memory on device cuda:0/);
    const port = await freePort();
    serve(port, { FAKE_VLLM_FAIL_FILE: file });
    await waitFor('the second start', () => isUp(port));
  });

  it('loses a SIGTERM while it loads, and obeys the next one with exit code 0', async () => {
    const port = await freePort();
    const { child, exited } = serve(port, { FAKE_VLLM_BOOT_MS: '2000', FAKE_VLLM_SHUTDOWN_MS: '50' });
    // The engine process starts after the signal handlers are in place.
    await waitFor('the engine process', () => {
      // The shell's own children (readlink, dirname) are there before it.
      const pid = childOf(child.pid as number);
      return pid !== null && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('EngineCore');
    });
    child.kill('SIGTERM');
    await waitFor('readiness', () => isUp(port));
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });

  it('leaves its engine process behind after kill -9, and ends with 0 when that dies', async () => {
    const port = await freePort();
    const first = serve(port);
    await waitFor('readiness', () => isUp(port));
    const orphan = childOf(first.child.pid as number);
    assert.ok(orphan);
    first.child.kill('SIGKILL');
    await first.exited;
    assert.ok(isAlive(orphan));
    process.kill(orphan, 'SIGKILL');
    await waitFor('the end of the orphan', () => !isAlive(orphan));

    const second = serve(port);
    await waitFor('readiness', () => isUp(port));
    process.kill(childOf(second.child.pid as number) as number, 'SIGKILL');
    await waitFor('a sick /health or none', async () => !(await isUp(port)));
    await fetch(`http://127.0.0.1:${port}/v1/embeddings`, { method: 'POST', body: '{}' }).catch(() => {});
    assert.deepEqual(await second.exited, [0, null]);
  });

  it('ends with the code that was ordered', async () => {
    const { exited } = serve(await freePort(), {
      FAKE_VLLM_CRASH_AFTER_MS: '300',
      FAKE_VLLM_CRASH_CODE: '3',
    });
    assert.deepEqual(await exited, [3, null]);
  });

  it('says that the port is taken, with exit code 1', async () => {
    const port = await freePort();
    serve(port);
    await waitFor('readiness', () => isUp(port));
    const second = serve(port);
    assert.deepEqual(await second.exited, [1, null]);
    assert.match(second.stderr(), /Address already in use/);
  });
});

/** The process that this one started; null when there is none. */
function childOf(pid: number): number | null {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children ? Number(children.split(' ')[0]) : null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}
