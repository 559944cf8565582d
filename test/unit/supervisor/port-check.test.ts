import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { ensurePortIsFree } from '../../../supervisor/src/port-check.ts';
import { freePort } from '../../kit/free-port.ts';

describe('ensurePortIsFree()', () => {
  it('leaves a free port free', async () => {
    const port = await freePort();
    await ensurePortIsFree('embedding', port);
    await ensurePortIsFree('embedding', port);
  });

  for (const host of ['127.0.0.1', '0.0.0.0']) {
    it(`sees a program that listens on ${host}`, async t => {
      const server = createServer().listen(0, host);
      t.after(() => server.close());
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      await assert.rejects(ensurePortIsFree('reranker', port), {
        name: 'ConfigError',
        message: new RegExp(
          `^models.reranker.port: another program listens on port ${port}; .*ER_MODELS_RERANKER_PORT`,
        ),
      });
    });
  }
});
