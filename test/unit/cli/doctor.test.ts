import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext, test } from 'node:test';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import { coresFinding, gpuFindings } from '../../../apps/cli/src/doctor/machine.ts';
import { fileFindings } from '../../../apps/cli/src/doctor/models.ts';
import { networkFindings } from '../../../apps/cli/src/doctor/network.ts';

const gpu = (index: number) => ({
  index,
  name: 'NVIDIA H200',
  driver: '570.1',
  utilizationPercent: 0,
  memoryUsedMebibytes: 0,
  memoryTotalMebibytes: 143771,
});

describe('gpuFindings()', () => {
  const config = (device: string, engine = 'vllm') =>
    resolveConfig('/srv/er', {
      ER_ENGINE: engine,
      ER_VLLM_DEVICE: device,
      ER_RUN_DIR: '/tmp/er',
      ER_MODELS_EMBEDDING_PATH: '/',
      ER_MODELS_RERANKER_PATH: '/',
    });
  const statusOf = (device: string, gpus: number[], engine?: string) =>
    gpuFindings(config(device, engine), gpus.map(gpu)).map(({ what, status }) => `${what}: ${status}`);

  it('finds both GPUs, or names the model whose GPU is missing with the setting to change', () => {
    assert.deepEqual(statusOf('auto', [0, 1]), ['GPUs: ok', 'GPU of embedding: ok', 'GPU of reranker: ok']);
    assert.deepEqual(statusOf('auto', [0]), ['GPUs: ok', 'GPU of embedding: fail', 'GPU of reranker: ok']);
    assert.match(
      gpuFindings(config('auto'), [gpu(0)])[1]?.fix ?? '',
      /^set ER_MODELS_EMBEDDING_GPU to one of 0$/,
    );
  });

  it('fails without a GPU only where one was asked for', () => {
    assert.deepEqual(statusOf('gpu', []), ['GPUs: fail']);
    assert.deepEqual(statusOf('auto', []), ['GPUs: warn']);
    assert.deepEqual(statusOf('cpu', []), ['GPUs: ok']);
    assert.deepEqual(statusOf('auto', [], 'builtin'), ['GPUs: ok']);
  });
});

test('more workers than a machine has caches for are a warning with the number to set', () => {
  assert.equal(coresFinding(64, 16).status, 'ok');
  assert.deepEqual(coresFinding(64, 2), {
    what: 'cores',
    status: 'warn',
    found: '2; 64 gateway workers',
    fix: 'set ER_GATEWAY_WORKERS to 8 or fewer: more of them serve less (npm run bench -- workers)',
  });
});

describe('fileFindings()', () => {
  it('tells a whole checkpoint from one that lacks a shard, is half downloaded, or has no hashes', t => {
    const path = mkdtempSync(join(tmpdir(), 'er-checkpoint-'));
    t.after(() => rmSync(path, { recursive: true }));
    const put = (name: string, text = '{}') => writeFileSync(join(path, name), text);
    const found = () =>
      fileFindings({ role: 'embedding', path }).map(({ status, found: text }) => `${status} ${text}`);

    assert.deepEqual(found(), ['fail missing or empty: config.json, tokenizer.json']);
    put('config.json');
    put('tokenizer.json');
    assert.deepEqual(found(), ['fail no *.safetensors']);
    put(
      'model.safetensors.index.json',
      '{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}',
    );
    put('model-1.safetensors');
    put('model-2.safetensors', '');
    assert.deepEqual(found(), ['fail missing or empty: model-2.safetensors']);
    put('model-2.safetensors');
    assert.equal(found().at(-1), 'warn the download left none');
    const records = join(path, '.cache/huggingface/download');
    mkdirSync(records, { recursive: true });
    writeFileSync(join(records, 'x.incomplete'), '');
    assert.match(found().at(-1) ?? '', /^fail not finished/);
    rmSync(join(records, 'x.incomplete'));
    for (const name of ['model-1', 'model-2'])
      writeFileSync(join(records, `${name}.safetensors.metadata`), 'hash');
    assert.equal(found().at(-1), 'ok the download recorded them');
    assert.deepEqual(fileFindings({ role: 'embedding', path: '/no/such' })[0]?.status, 'fail');
  });
});

describe("networkFindings()'s view of Redis", () => {
  /** A server that answers each connection in this way; `null` closes it at once. */
  const redisThat = async (t: TestContext, answer: ((said: string) => string) | null, login = '') => {
    const server = createServer(socket => {
      if (answer === null) socket.end();
      else socket.on('data', data => socket.write(answer(String(data))));
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await new Promise(resolve => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const config = resolveConfig('/srv/er', {
      ER_RUN_DIR: '/tmp/er',
      REDIS_URL: `redis://${login}127.0.0.1:${port}`,
    });
    return (await networkFindings(config, new Set())).find(({ what }) => what === 'Redis');
  };

  it('is well with PONG, and logs in where the address has a password', async t => {
    assert.equal((await redisThat(t, () => '+PONG\r\n'))?.status, 'ok');
    const picky = (said: string) =>
      said.startsWith('*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$3\r\np w\r\n') ? '+OK\r\n+PONG\r\n' : '-NOAUTH\r\n';
    assert.equal((await redisThat(t, picky, 'me:p%20w@'))?.status, 'ok');
  });

  it('is a failure without the right password', async t => {
    for (const refusal of ['-NOAUTH Authentication required.', '-WRONGPASS invalid username-password pair']) {
      const found = await redisThat(t, () => `${refusal}\r\n`);
      assert.equal(found?.status, 'fail');
      assert.match(found?.fix ?? '', /password into REDIS_URL/);
    }
  });

  it('ends when it closes the connection, and when it says nothing', async t => {
    assert.match((await redisThat(t, null))?.found ?? '', /closed the connection/);
    assert.match((await redisThat(t, () => ''))?.found ?? '', /no answer within 2 s/);
  });
});
