import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** What is asked of a request to know who sent it. */
interface ReceivedRequest {
  headers: IncomingHttpHeaders;
  socket: { remoteAddress?: string | undefined; encrypted?: boolean };
}

/** Who sends a request, behind proxies that are believed. */
export interface CallerView {
  /** The caller's IP address; IPv4 in its short form. Empty when the connection is gone already. */
  callerAddress: (request: ReceivedRequest) => string;
  /** Whether the caller came over HTTPS. */
  isSecure: (request: ReceivedRequest) => boolean;
}

/**
 * Makes the view for `gateway.trusted_proxies`. A proxy adds the address that it sees at the end of X-Forwarded-For, so
 * the list is read from its end up to the first address that is no trusted proxy's: what stands before it is whatever
 * that caller wrote.
 */
export function createCallerView(trustedProxies: readonly string[]): CallerView {
  if (trustedProxies.length === 0) {
    return {
      callerAddress: ({ socket }) => shortAddress(socket.remoteAddress ?? ''),
      isSecure: ({ socket }) => socket.encrypted === true,
    };
  }
  const trusted = toBlockList(trustedProxies);
  const isTrusted = (address: string) => {
    const version = isIP(address);
    return version !== 0 && trusted.check(address, version === 6 ? 'ipv6' : 'ipv4');
  };
  return {
    callerAddress: ({ headers, socket }) => {
      let address = shortAddress(socket.remoteAddress ?? '');
      const forwarded = String(headers['x-forwarded-for'] ?? '').split(',');
      while (isTrusted(address) && forwarded.length > 0) {
        const before = shortAddress(forwarded.pop()?.trim() ?? '');
        if (isIP(before) === 0) break;
        address = before;
      }
      return address;
    },
    isSecure: ({ headers, socket }) => {
      if (!isTrusted(shortAddress(socket.remoteAddress ?? ''))) return socket.encrypted === true;
      const [nearest] = String(headers['x-forwarded-proto'] ?? '')
        .split(',')
        .slice(-1);
      return nearest === undefined || nearest.trim() === ''
        ? socket.encrypted === true
        : nearest.trim().toLowerCase() === 'https';
    },
  };
}

function toBlockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** IPv4 that came in through an IPv6 socket, without its prefix. */
function shortAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
