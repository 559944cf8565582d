import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';

/** An answer of the gateway; `body` is null when it is not JSON. */
export interface GatewayAnswer {
  status: number;
  body: unknown;
}

/** Where this machine reaches the gateway. */
export function gatewayUrl({ gateway }: EffectiveConfig): string {
  const isAny = gateway.host === '0.0.0.0' || gateway.host === '::';
  const host = isAny ? 'localhost' : gateway.host.includes(':') ? `[${gateway.host}]` : gateway.host;
  return `${gateway.tls.cert ? 'https' : 'http'}://${host}:${gateway.port}`;
}

/** What is sent beside the path. */
export interface GatewayQuestion {
  method?: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Longest wait for the answer. */
  timeoutMs?: number;
}

/** Asks the gateway, with a key where one is given: GET unless told else. Null when nothing answers within 2 s. */
export function askGateway(
  config: EffectiveConfig,
  path: string,
  key?: string,
  { method = 'GET', body, timeoutMs = 2000 }: GatewayQuestion = {},
): Promise<GatewayAnswer | null> {
  const url = new URL(path, gatewayUrl(config));
  if (url.hostname === 'localhost') url.hostname = config.gateway.host === '::' ? '[::1]' : '127.0.0.1';
  return new Promise(resolve => {
    const options = {
      agent: false as const,
      method,
      timeout: timeoutMs,
      headers: {
        ...(key && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      // Its own certificate names its public host, not the loopback address.
      rejectUnauthorized: false,
    };
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, response => {
      const chunks: Buffer[] = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('error', () => resolve(null));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks)) }),
      );
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(null));
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}
