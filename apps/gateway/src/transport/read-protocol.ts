import type { Socket } from 'node:net';

/** How an HTTP/2 client begins without TLS (RFC 9113, section 3.4). No method of HTTP/1.1 begins with these letters. */
const prefaceBegin = 'PRI';

/**
 * Waits for the first bytes of a connection without TLS and says which protocol they are. The bytes are put back, and
 * the connection is paused; `resume` it when there is somebody who reads.
 */
export function readProtocol(socket: Socket, onKnown: (protocol: 'http/1.1' | 'h2') => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const begin = seen.toString('latin1', 0, prefaceBegin.length);
    if (begin.length < prefaceBegin.length && prefaceBegin.startsWith(begin)) return;
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.pause();
    socket.unshift(seen);
    onKnown(begin === prefaceBegin ? 'h2' : 'http/1.1');
  };
  const onEnd = () => socket.destroy();
  socket.on('data', onData);
  socket.once('end', onEnd);
}
