import type { IncomingMessage } from 'node:http';

/** The address that a request came from; IPv4 in its own form also where IPv6 carries it. Empty when it is gone already. */
export function callerAddress({ socket }: IncomingMessage): string {
  const address = socket.remoteAddress ?? '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
