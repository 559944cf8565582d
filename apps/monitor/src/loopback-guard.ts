import type { IncomingHttpHeaders } from 'node:http';
import { RequestError } from '@er-gateway/shared/errors/request-error';

/**
 * Why a request to the loopback port is refused; null when it may pass. The port needs no key, so a web page in a
 * browser on this host must not reach it: not under a name of its own that resolves to 127.0.0.1 (the Host header is
 * the page's name then), and not by a request from another site.
 */
export function refuseForeignPages(headers: IncomingHttpHeaders, port: number): RequestError | null {
  const allowedHosts = ['localhost', '127.0.0.1', '[::1]'].map(host => `${host}:${port}`);
  if (!allowedHosts.includes(headers.host?.toLowerCase() ?? '')) {
    return new RequestError(
      'permission_denied',
      `This port answers only to the Host headers ${allowedHosts.join(', ')}. From elsewhere, use the gateway with an admin key.`,
    );
  }
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return new RequestError('permission_denied', 'This port does not answer to pages of other sites.');
  }
  return null;
}
