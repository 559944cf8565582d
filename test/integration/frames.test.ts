import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { FrameReader, FrameWriter } from '@er-gateway/shared/frames/codec';
import { FrameClient } from '@er-gateway/shared/frames/frame-client';
import { answers, type FrameMethod, FrameServer } from '@er-gateway/shared/frames/frame-server';
import { waitFor } from '../kit/wait-for.ts';

const timeoutMs = 10_000;

let folder: string;
let path: string;
/** Ends what a test began, last first. */
let closers: (() => unknown)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'er-frames-'));
  path = join(folder, 'frames.sock');
  closers = [() => rmSync(folder, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

/** Errors that the servers of a test called unexpected. */
interface Unexpected {
  error: unknown;
  method: string;
}

async function serve(
  methods: Record<string, FrameMethod>,
  greeting: () => { topic: string; value: unknown }[] = () => [],
): Promise<{ server: FrameServer; unexpected: Unexpected[] }> {
  const unexpected: Unexpected[] = [];
  const onUnexpectedError = (error: unknown, method: string) => unexpected.push({ error, method });
  const server = new FrameServer({ path, methods, greeting, onUnexpectedError });
  await server.listen();
  closers.push(() => server.close());
  return { server, unexpected };
}

function client(patienceMs?: number): FrameClient {
  const made = new FrameClient({
    path,
    serverName: 'test server',
    unavailable: 'no_available_upstream',
    ...(patienceMs !== undefined && { patienceMs }),
  });
  closers.push(() => made.close());
  return made;
}

/** A method that never ends by itself, and what became of its calls. */
function hanging() {
  const calls = { begun: 0, aborted: 0 };
  const method: FrameMethod = (_params, { signal }) => {
    calls.begun++;
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        calls.aborted++;
        reject(new Error('aborted'));
      });
    });
  };
  return { calls, method };
}

const echo: FrameMethod = params => Promise.resolve(params);

/** What a FrameWriter puts on the wire for these messages, sent in one turn of the event loop. */
async function writesOf(messages: unknown[]): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  const socket = {
    destroyed: false,
    cork: () => {},
    uncork: () => {},
    write: (chunk: Buffer) => chunks.push(Buffer.from(chunk)),
  };
  const writer = new FrameWriter(socket as unknown as Socket);
  for (const message of messages) writer.write(message);
  await nextTurn();
  return chunks;
}

const bytesOf = async (messages: unknown[]) => Buffer.concat(await writesOf(messages));

describe('the codec', () => {
  const messages = [
    ['call', 1, 'echo', { text: 'héllo 北京', list: [1, 2.5, -3], none: null, yes: true }],
    ['result', 1, { vectors: Buffer.from([0, 1, 254, 255]), at: 1_790_000_000_000 }],
    ['cancel', 4294967296],
    ['push', 'models', []],
  ];

  test('reads frames that arrive byte by byte', async () => {
    const reader = new FrameReader();
    const read: unknown[] = [];
    for (const byte of await bytesOf(messages)) read.push(...reader.feed(Buffer.from([byte])));
    assert.deepEqual(read, messages);
  });

  test('reads many frames out of one chunk, and the rest of the last one out of the next', async () => {
    const bytes = await bytesOf(messages);
    const reader = new FrameReader();
    assert.deepEqual(reader.feed(bytes.subarray(0, bytes.length - 1)), messages.slice(0, 3));
    assert.deepEqual(reader.feed(bytes.subarray(bytes.length - 1)), messages.slice(3));
  });

  test('writes the frames of one turn at once', async () => {
    assert.equal((await writesOf(messages)).length, 1);
    const large = ['push', 'vectors', Buffer.alloc(1_100_000, 7)];
    const writes = await writesOf([messages[0], large]);
    const reader = new FrameReader();
    assert.deepEqual(reader.feed(Buffer.concat(writes)), [messages[0], large]);
  });

  test('reads the same messages wherever the bytes are cut', async () => {
    const bytes = await bytesOf(messages);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new FrameReader();
      const read = [...reader.feed(bytes.subarray(0, cut)), ...reader.feed(bytes.subarray(cut))];
      assert.deepEqual(read, messages, `cut at ${cut}`);
    }
  });

  test('refuses a frame over its limit before its bytes arrive', () => {
    const header = Buffer.alloc(4);
    header.writeUInt32LE(256 * 1024 * 1024 + 1);
    assert.throws(() => new FrameReader().feed(header), /frame of 268435457 bytes is over 268435456/);
  });
});

describe('a call', () => {
  test('carries values and buffers there and back', async () => {
    await serve({ echo });
    const params = { text: 'héllo', vectors: Buffer.from([1, 2, 3]), nested: [{ none: null }] };
    const answer = await client().call<typeof params>('echo', params, { timeoutMs });
    assert.deepEqual(answer, params);
  });

  test('carries 32 MB there and back', async () => {
    await serve({ echo });
    const big = Buffer.alloc(32 * 1024 * 1024, 7);
    const answer = await client().call<Buffer>('echo', big, { timeoutMs });
    assert.ok(big.equals(answer));
  });

  test('is answered in the order of readiness, not of arrival', async () => {
    const gate = Promise.withResolvers<string>();
    await serve({ slow: () => gate.promise, echo });
    const caller = client();
    const slow = caller.call('slow', null, { timeoutMs });
    assert.equal(await caller.call('echo', 'fast', { timeoutMs }), 'fast');
    gate.resolve('slow');
    assert.equal(await slow, 'slow');
  });

  test('finds its own answer among a thousand', async () => {
    await serve({ echo });
    const caller = client();
    const numbers = Array.from({ length: 1000 }, (_, number) => number);
    assert.deepEqual(
      await Promise.all(numbers.map(number => caller.call('echo', number, { timeoutMs }))),
      numbers,
    );
  });
});

describe('an error', () => {
  test('of ours reaches the caller with code, message, field and time to retry', async () => {
    const { unexpected } = await serve({
      refuse: () =>
        Promise.reject(
          new RequestError('invalid_request', 'too long', { param: 'input[2]', retryAfterMs: 250 }),
        ),
    });
    await assert.rejects(client().call('refuse', null, { timeoutMs }), {
      name: 'RequestError',
      code: 'invalid_request',
      message: 'too long',
      param: 'input[2]',
      retryAfterMs: 250,
    });
    assert.deepEqual(unexpected, []);
  });

  test('of another kind is told to the server, and crosses without its text', async () => {
    const cause = new Error('password=1234');
    const { unexpected } = await serve({ fail: () => Promise.reject(cause) });
    await assert.rejects(client().call('fail', null, { timeoutMs }), (error: RequestError) => {
      assert.equal(error.code, 'internal_error');
      assert.doesNotMatch(error.message, /1234/);
      return true;
    });
    assert.deepEqual(unexpected, [{ error: cause, method: 'fail' }]);
  });

  test('is what an unknown method gets', async () => {
    const { unexpected } = await serve({});
    await assert.rejects(client().call('none', null, { timeoutMs }), { code: 'internal_error' });
    assert.match(String(unexpected[0]?.error), /no method none/);
  });

  test('in the bytes of one connection ends that one and no other', async () => {
    const { unexpected } = await serve({ echo });
    const good = client();
    await good.call('echo', 1, { timeoutMs });
    const bad = connect(path);
    bad.on('error', () => {});
    bad.write(Buffer.from([255, 255, 255, 255]));
    await once(bad, 'close');
    assert.equal(unexpected[0]?.method, 'frame');
    assert.equal(await good.call('echo', 2, { timeoutMs }), 2);
  });
});

describe('a caller that loses interest', () => {
  test('by its signal gets its reason, and the method is aborted', async () => {
    const { calls, method } = hanging();
    const { unexpected } = await serve({ hang: method });
    const controller = new AbortController();
    const call = client().call('hang', null, { timeoutMs, signal: controller.signal });
    await waitFor('the call', () => calls.begun === 1);
    const reason = new Error('hung up');
    controller.abort(reason);
    await assert.rejects(call, reason);
    await waitFor('the abort', () => calls.aborted === 1);
    assert.deepEqual(unexpected, [], 'the end of an aborted call is no error');
  });

  test('before it calls is not served at all', async () => {
    const { calls, method } = hanging();
    await serve({ hang: method, echo });
    const caller = client();
    await assert.rejects(
      caller.call('hang', null, { timeoutMs, signal: AbortSignal.abort(new Error('gone')) }),
      /gone/,
    );
    await caller.call('echo', null, { timeoutMs });
    assert.equal(calls.begun, 0);
  });

  test('after its time-out gets the error that it asked for, and the method is aborted', async () => {
    const { calls, method } = hanging();
    await serve({ hang: method });
    const timeoutError = () => new RequestError('upstream_timeout', 'too late');
    await assert.rejects(client().call('hang', null, { timeoutMs: 100, timeoutError }), {
      code: 'upstream_timeout',
    });
    await waitFor('the abort', () => calls.aborted === 1);
  });

  test('by dying takes all its calls with it: what they hold is given back', async () => {
    const { calls, method } = hanging();
    await serve({ hang: method });
    const socket = connect(path);
    const writer = new FrameWriter(socket);
    for (let id = 1; id <= 3; id++) writer.write(['call', id, 'hang', null]);
    await waitFor('the calls', () => calls.begun === 3);
    socket.destroy();
    await waitFor('the aborts', () => calls.aborted === 3);
  });

  test('leaves the calls of others alone', async () => {
    const { calls, method } = hanging();
    await serve({ hang: method });
    const [leaving, staying] = [client(), client()];
    const calling = [leaving, staying].map(caller =>
      caller.call('hang', null, { timeoutMs }).catch(() => {}),
    );
    await waitFor('both calls', () => calls.begun === 2);
    leaving.close();
    await waitFor('one abort', () => calls.aborted === 1);
    staying.close();
    await waitFor('the other', () => calls.aborted === 2);
    await Promise.all(calling);
  });
});

describe('a server that comes, goes and returns', () => {
  test('may come after the call', async () => {
    const call = client().call('echo', 'early', { timeoutMs });
    await serve({ echo });
    assert.equal(await call, 'early');
  });

  test('gets unanswered calls again, and answered ones not', async () => {
    const { calls, method } = hanging();
    const first = await serve({ hang: method, echo });
    const caller = client();
    const events: string[] = [];
    for (const name of ['up', 'down'] as const) caller.on(name, () => events.push(name));
    const call = caller.call('hang', 'again', { timeoutMs });
    await caller.call('echo', 'done', { timeoutMs });
    await waitFor('the call', () => calls.begun === 1);
    await first.server.close();
    await waitFor('the loss', () => !caller.isUp);

    const seen: unknown[] = [];
    await serve({
      hang: params => {
        seen.push(params);
        return Promise.resolve('answered');
      },
      echo: () => {
        seen.push('echo');
        return Promise.resolve();
      },
    });
    assert.equal(await call, 'answered');
    assert.deepEqual(seen, ['again']);
    assert.deepEqual(events, ['up', 'down', 'up']);
  });

  test('is told which calls a predecessor had already', async () => {
    const seen: boolean[] = [];
    const wait: FrameMethod = (_params, { isRepeated }) => {
      seen.push(isRepeated);
      return new Promise(() => {});
    };
    const first = await serve({ wait });
    const call = client().call('wait', null, { timeoutMs });
    await waitFor('the first server to have it', () => seen.length === 1);
    await first.server.close();
    await serve({ wait: async (_params, { isRepeated }) => isRepeated });
    assert.equal(await call, true);
    assert.deepEqual(seen, [false]);
  });

  test('does not get a call again that was given up meanwhile', async () => {
    const { calls, method } = hanging();
    const first = await serve({ hang: method });
    const caller = client();
    const controller = new AbortController();
    const call = caller.call('hang', null, { timeoutMs, signal: controller.signal });
    await waitFor('the call', () => calls.begun === 1);
    await first.server.close();
    await waitFor('the loss', () => !caller.isUp);
    controller.abort(new Error('hung up'));
    await assert.rejects(call, /hung up/);

    const after = hanging();
    await serve({ hang: after.method, echo });
    await caller.call('echo', null, { timeoutMs });
    assert.equal(after.calls.begun, 0);
  });

  test('that stays away longer than patience costs calls a 503 each, those that come later at once', async () => {
    const caller = client(100);
    const unavailable = {
      code: 'no_available_upstream',
      retryAfterMs: 1000,
      message: /test server does not answer/,
    };
    await assert.rejects(caller.call('echo', 1, { timeoutMs }), unavailable);
    const second = caller.call('echo', 2, { timeoutMs }).catch((error: RequestError) => error.code);
    assert.equal(await Promise.race([second, nextTurn('waits')]), 'no_available_upstream');
    await serve({ echo });
    await waitFor('the connection', () => caller.isUp);
    assert.equal(await caller.call('echo', 3, { timeoutMs }), 3);
  });

  test('is waited for again once it was back', async () => {
    const caller = client(500);
    await assert.rejects(caller.call('echo', 1, { timeoutMs }), { code: 'no_available_upstream' });
    const { server } = await serve({ echo });
    await waitFor('the connection', () => caller.isUp);
    await server.close();
    await waitFor('the loss', () => !caller.isUp, { intervalMs: 5 });
    const call = caller.call('echo', 2, { timeoutMs }).catch((error: RequestError) => error.code);
    assert.equal(await Promise.race([call, nextTurn('waits')]), 'waits');
    await serve({ echo });
    assert.equal(await call, 2);
  });

  test('makes calls fail at once when the client is closed', async () => {
    const caller = client();
    const call = caller.call('echo', 1, { timeoutMs });
    caller.close();
    await assert.rejects(call, { code: 'no_available_upstream' });
  });
});

describe('news', () => {
  test('greets each connection before any answer, and reaches all of them', async () => {
    let version = 1;
    const { server } = await serve({ echo }, () => [{ topic: 'models', value: version }]);
    const seen: unknown[] = [];
    const callers = [client(), client()];
    for (const caller of callers) {
      caller.on('push', (topic, value) => seen.push([topic, value]));
      await caller.call('echo', null, { timeoutMs });
    }
    assert.deepEqual(seen, [
      ['models', 1],
      ['models', 1],
    ]);
    version = 2;
    server.broadcast('models', version);
    await waitFor('the news', () => seen.length === 4);
    assert.deepEqual(seen.slice(2), [
      ['models', 2],
      ['models', 2],
    ]);
  });
});

describe('a call that could do harm', () => {
  test('because it is larger than a frame fails where it is made, and those beside it go on', async () => {
    const { unexpected } = await serve({ echo });
    const caller = client();
    const beside = caller.call('echo', 'beside', { timeoutMs });
    const tooLarge = Buffer.alloc(256 * 1024 * 1024);
    await assert.rejects(caller.call('echo', tooLarge, { timeoutMs }), {
      code: 'request_too_large',
      message: /257 MB.*256 MB/,
    });
    assert.equal(await beside, 'beside');
    assert.equal(await caller.call('echo', 'after', { timeoutMs }), 'after');
    assert.deepEqual(unexpected, []);
  });

  test('because it ends the server each time is sent again three times at most', async () => {
    let connections = 0;
    const dying = createServer(socket => {
      socket.on('error', () => {});
      socket.once('data', () => {
        connections++;
        socket.destroy();
      });
    }).listen(path);
    closers.push(() => new Promise(resolve => dying.close(resolve)));
    await assert.rejects(client().call('crash', null, { timeoutMs }), { code: 'no_available_upstream' });
    assert.equal(connections, 4);
  });
});

describe('a peer that stops reading', () => {
  test('loses its connection after 10 s in which it took nothing', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const socket = {
      destroyed: false,
      writableLength: 1000,
      taken: [] as (() => void)[],
      write(_bytes: Buffer, onTaken: () => void) {
        this.taken.push(onTaken);
        return false;
      },
      destroy() {
        this.destroyed = true;
      },
    };
    new FrameWriter(socket as unknown as Socket).write('one');
    await nextTurn();
    t.mock.timers.tick(9000);
    socket.taken[0]?.();
    t.mock.timers.tick(9000);
    assert.equal(socket.destroyed, false, 'it is slow, no more');
    t.mock.timers.tick(1000);
    assert.equal(socket.destroyed, true);
  });

  test('and goes on before keeps it', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let onTaken = () => {};
    const socket = {
      destroyed: false,
      writableLength: 1000,
      write: (_bytes: Buffer, callback: () => void) => {
        onTaken = callback;
        return false;
      },
      destroy: () => assert.fail('destroyed'),
    };
    new FrameWriter(socket as unknown as Socket).write('one');
    await nextTurn();
    socket.writableLength = 0;
    onTaken();
    t.mock.timers.tick(60_000);
  });
});

test('the memory of a large frame is given back', async () => {
  await writesOf([Buffer.alloc(32 * 1024 * 1024)]);
  const parts: number[] = [];
  const capture = {
    destroyed: false,
    cork: () => {},
    uncork: () => {},
    write: (chunk: Buffer) => parts.push(chunk.buffer.byteLength),
  };
  new FrameWriter(capture as unknown as Socket).write(Buffer.alloc(1024 * 1024 + 10));
  await nextTurn();
  assert.ok(Math.max(...parts) < 8 * 1024 * 1024, `a frame of 1 MB holds ${Math.max(...parts)} bytes`);
});

describe('the socket file', () => {
  /** A file of a socket that nobody serves, as kill -9 leaves it. */
  async function leaveDeadSocket(): Promise<void> {
    const server: Server = createServer().listen(path);
    await once(server, 'listening');
    // Closing would take the file away, so it is put aside meanwhile.
    const aside = `${path}.aside`;
    renameSync(path, aside);
    server.close();
    await once(server, 'close');
    renameSync(aside, path);
  }

  test('is for this user alone, and gone after close', async () => {
    const { server } = await serve({});
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await server.close();
    assert.ok(!existsSync(path));
  });

  test('of a dead process is replaced', async () => {
    await leaveDeadSocket();
    assert.ok(existsSync(path));
    assert.equal(await answers(path), false);
    await serve({ echo });
    assert.equal(await client().call('echo', 1, { timeoutMs }), 1);
  });

  test('of a living process is left to it', async () => {
    await serve({ echo });
    const second = new FrameServer({ path, methods: {}, onUnexpectedError: () => {} });
    await assert.rejects(second.listen(), /another process serves/);
    assert.equal(await client().call('echo', 1, { timeoutMs }), 1);
  });

  test('that is no socket is replaced too', async () => {
    writeFileSync(path, '');
    await serve({ echo });
    assert.equal(await answers(path), true);
  });
});
