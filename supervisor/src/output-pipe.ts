import { constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { outputOf } from './child.ts';

/** Longest wait for what a dead server had still written. */
const lastWordsMs = 1_000;

/** The way from a model server's output to us. */
export interface OutputPipe {
  /** What the server gets as stdout and stderr; closed by us once it runs. */
  input: number;
  /** Resolves when no process holds the other end any more, a second after it was asked at the latest. */
  ended: () => Promise<void>;
}

/**
 * A pipe for a model server's output. A named one, opened for reading and writing at the server's end: so there is always
 * a reader, and a server whose supervisor was killed does not break on its next line. Then 64 KiB more fit into the pipe, and
 * it waits: it has got its death signal by then, and the next supervisor kills what is left. The name is gone at once. Throws
 * when it cannot be made.
 */
export async function openOutputPipe(path: string, onData: (chunk: Buffer) => void): Promise<OutputPipe> {
  rmSync(path, { force: true });
  await outputOf('mkfifo', ['-m', '600', path]);
  const input = openSync(path, 'r+');
  const output = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  rmSync(path);
  const socket = new Socket({ fd: output, readable: true, writable: false });
  socket.on('data', onData).on('error', () => {});
  const end = new Promise<void>(resolve => socket.once('close', () => resolve()));
  return {
    input,
    ended: async () => {
      await Promise.race([end, delay(lastWordsMs, undefined, { ref: false })]);
      socket.destroy();
    },
  };
}
