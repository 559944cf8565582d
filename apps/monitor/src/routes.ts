import type { IncomingHttpHeaders, RequestListener, ServerResponse } from 'node:http';
import { RequestError, toRequestError } from '@er-gateway/shared/errors/request-error';
import type { Logger } from '@er-gateway/shared/logger';

/** An answer in one piece. */
export interface PageAnswer {
  /** 200 when it is not said. */
  status?: number;
  type: string;
  body: string;
  headers?: Record<string, string>;
}

/**
 * What the monitor serves: a path and how its answer is made, at each request. One that returns null has begun the answer
 * itself, with these headers.
 */
export type Pages = Readonly<
  Record<
    string,
    (response: ServerResponse, headers: Record<string, string>) => Promise<PageAnswer | null> | PageAnswer
  >
>;

export interface RoutesOptions {
  pages: Pages;
  /** Why a request is refused before anything is read; null lets it pass. */
  refuse: (headers: IncomingHttpHeaders) => RequestError | null;
  logger: Logger;
}

/** Sent with every answer: nothing is kept, guessed, framed or told to others. */
const commonHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

/** Answers GET and HEAD of the pages; everything else with the error envelope. */
export function createRoutes({ pages, refuse, logger }: RoutesOptions): RequestListener {
  return async (request, response) => {
    try {
      const refusal = refuse(request.headers);
      if (refusal) throw refusal;
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
      if (!page)
        throw new RequestError('not_found', 'No such page here. See /dashboard, /metrics, /admin/status.');
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new RequestError('method_not_allowed', 'This page takes GET only.', {
          headers: { allow: 'GET, HEAD' },
        });
      }
      const answer = await page(response, commonHeaders);
      if (!answer) return;
      const { status = 200, type, body, headers } = answer;
      send(response, status, { ...commonHeaders, 'content-type': type, ...headers }, body);
    } catch (error) {
      if (response.headersSent) return void response.destroy();
      const known = toRequestError(error);
      if (known.code === 'internal_error') logger.error('a page failed', { error });
      const { status, message, type, param, code } = known;
      const body = JSON.stringify({ error: { message, type, param, code } });
      send(
        response,
        status,
        { ...commonHeaders, 'content-type': 'application/json', ...known.headers },
        body,
      );
    }
  };
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
}
