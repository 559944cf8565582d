import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { toEngineError } from '../engine-error.ts';
import { readJson } from './read-json.ts';
import { jsonAnswer, type Route, type RouteAnswer } from './route.ts';

/** As vLLM is run behind the gateway (VLLM_HTTP_TIMEOUT_KEEP_ALIVE), in milliseconds. */
const keepAliveMs = 75_000;

export interface EngineServer {
  server: Server;
  /** Stops listening and waits until every request in flight is answered. */
  drain: () => Promise<void>;
}

/** The HTTP server of the routes. Unknown paths and methods get FastAPI's answers, as from vLLM. */
export function createEngineServer(routes: readonly Route[]): EngineServer {
  const routeByPath = new Map(routes.flatMap(route => route.paths.map(path => [path, route] as const)));
  let inFlight = 0;
  let isDraining = false;
  const open = new Set<ServerResponse>();

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    open.add(response);
    response.on('close', () => open.delete(response));
    const route = routeByPath.get(new URL(request.url ?? '/', 'http://engine').pathname);
    if (route === undefined) return send(response, 404, jsonAnswer({ detail: 'Not Found' }));
    if (request.method !== route.method) {
      response.setHeader('allow', route.method);
      return send(response, 405, jsonAnswer({ detail: 'Method Not Allowed' }));
    }
    const hangUp = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) hangUp.abort(new Error('the client hung up'));
    });
    if (route.method === 'POST') inFlight++;
    try {
      const body = route.method === 'POST' ? await readJson(request) : undefined;
      const requestId = request.headers['x-request-id']?.toString() ?? randomBytes(8).toString('hex');
      const answer = await route.answer({ body, requestId, signal: hangUp.signal, inFlight });
      send(response, 200, answer);
    } catch (error) {
      if (hangUp.signal.aborted) return;
      const known = toEngineError(error);
      send(response, known.status, jsonAnswer(known.toBody()));
    } finally {
      if (route.method === 'POST') inFlight--;
    }
  };
  const send = (response: ServerResponse, status: number, { contentType, body }: RouteAnswer) => {
    if (isDraining) response.setHeader('connection', 'close');
    // A refused body that is still on its way would be taken for the next request.
    if (response.req.method === 'POST' && !response.req.complete) response.setHeader('connection', 'close');
    response.writeHead(status, {
      ...(body.length > 0 && { 'content-type': contentType }),
      'content-length': Buffer.byteLength(body),
    });
    response.end(response.req.method === 'HEAD' ? undefined : body);
  };

  const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, serve);
  return {
    server,
    drain: async () => {
      isDraining = true;
      const closed = once(server, 'close');
      server.close();
      for (const response of open) await once(response, 'close');
      // Connections on which nothing was ever asked.
      server.closeAllConnections();
      await closed;
    },
  };
}
