import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, toJson } from './answers.ts';
import { ApiError, engineDeadMessage, serverError, stoppingMessage } from './api-error.ts';
import { Engine } from './engine.ts';
import { type Fault, Faults } from './faults.ts';
import { toMetrics } from './metrics.ts';
import type { FakeModelOptions } from './options.ts';
import { parseBody } from './requests.ts';
import { type Call, createRoutes } from './routes.ts';
import { Seen } from './seen.ts';

/** How long a `loading` fault lasts when it does not say. */
const defaultLoadingMs = 1000;
/** vLLM's watchdog stops a server whose engine died within 5 s, at once when a call ran into it. */
const engineDeadExitMs = 5000;
const engineDeadExitAfterCallMs = 150;

/** A fake model server that listens. */
export interface FakeModelServer {
  /** From now on calls get vLLM's error of a stopping server. */
  drain: () => void;
  /** Kills the engine: calls get 500, and `onEngineDead` is called when vLLM would exit. */
  killEngine: () => void;
}

/** Listens as the options say. `onEngineDead` ends the process. */
export async function startServer(
  options: FakeModelOptions,
  onEngineDead: () => void,
): Promise<FakeModelServer> {
  const routes = createRoutes(options);
  const engine = new Engine(options);
  const faults = new Faults();
  const seen = new Seen();
  let isStopping = false;
  let exit: NodeJS.Timeout | undefined;

  const server = createServer((request, response) => void answer(request, response));
  server.keepAliveTimeout = options.keepAliveMs;
  server.keepAliveTimeoutBuffer = 0;
  server.requestTimeout = 0;
  server.on('connection', () => seen.connection());

  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const listening = () => {
        server.off('error', reject);
        resolve();
      };
      if (options.uds) server.listen(options.uds, listening);
      else server.listen(options.port, options.host, listening);
    });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path === '/__fault') return orderFault(request, response);
    if (path === '/__seen') return tellSeen(request, response);
    const fixed = getRoute(path);
    const route = routes.get(path);
    if (!fixed && !route) return send(response, 404, toJson({ detail: 'Not Found' }));
    if (request.method !== (fixed ? 'GET' : 'POST')) {
      return send(response, 405, toJson({ detail: 'Method Not Allowed' }));
    }
    if (fixed) return send(response, fixed.status, fixed.answer);
    if (route) await answerCall(path, route, request, response);
  }

  async function answerCall(
    path: string,
    route: NonNullable<ReturnType<typeof routes.get>>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const hangUp = new AbortController();
    seen.begin(path, request.headers);
    response.on('close', () => {
      if (!response.writableFinished) hangUp.abort();
      seen.end(hangUp.signal.aborted);
    });
    const fault = faults.next(path);
    try {
      const text = await readText(request);
      await applyBefore(fault, response);
      const body = parseBody(request.headers['content-type'], text);
      seen.body(body);
      const call: Call = {
        requestId: request.headers['x-request-id']?.toString(),
        isNan: fault.mode === 'nan',
        isShort: fault.mode === 'wrong-count',
        isCut: fault.mode === 'wrong-dimension',
        run: async tokenCounts => {
          seen.inputs(tokenCounts);
          await engine.run(tokenCounts, hangUp.signal);
        },
      };
      const answered = await route(body, call);
      if (isStopping) throw serverError(stoppingMessage);
      if (fault.mode === 'reset-mid-answer') sendHalf(response, answered);
      else send(response, 200, answered);
    } catch (error) {
      if (hangUp.signal.aborted || response.destroyed) return;
      if (!(error instanceof ApiError)) console.error(error);
      const refusal = error instanceof ApiError ? error : serverError('');
      send(response, refusal.status, {
        body: refusal.toBody(),
        headers: { 'content-type': 'application/json' },
      });
    }
  }

  /** Faults that strike before the call is looked at. */
  async function applyBefore(fault: Fault, response: ServerResponse): Promise<void> {
    if (isStopping) throw serverError(stoppingMessage);
    if (faults.isEngineDead) {
      exitIn(engineDeadExitAfterCallMs);
      throw serverError(engineDeadMessage);
    }
    if (fault.mode === 'status-500') throw serverError(fault.message ?? 'ordered by a test');
    if (fault.mode === 'status') {
      throw new ApiError(fault.status ?? 503, 'Service Unavailable', fault.message ?? 'ordered by a test');
    }
    if (fault.mode === 'slow') await delay(fault.ms ?? 1000);
    if (fault.mode === 'reset') {
      response.socket?.resetAndDestroy();
      throw serverError('reset');
    }
    // For good; the client has to hang up.
    if (fault.mode === 'hang') await new Promise(() => {});
  }

  function getRoute(path: string): { status: number; answer: Answer } | undefined {
    const ok = (value: unknown) => ({ status: 200, answer: toJson(value) });
    const empty = (status: number) => ({ status, answer: { body: '', headers: {} } });
    if (path === '/health' || path === '/ping') return empty(faults.isEngineDead || isStopping ? 503 : 200);
    if (path === '/version') return ok({ version: '0.32.0' });
    if (path === '/load') return ok({ server_load: 0 });
    if (path === '/v1/models') return ok(modelList(options));
    if (path === '/metrics') {
      const body = toMetrics(options, seen.report, engine.depth);
      return { status: 200, answer: { body, headers: { 'content-type': 'text/plain; version=0.0.4' } } };
    }
    return undefined;
  }

  async function orderFault(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const fault = JSON.parse(await readText(request)) as Fault;
      faults.order(fault);
      send(response, 200, toJson({ ok: true }));
      if (fault.mode === 'loading') await stopListening(fault.ms ?? defaultLoadingMs);
      if (fault.mode === 'engine-dead') exitIn(fault.ms ?? engineDeadExitMs);
      if (fault.mode === 'none') clearTimeout(exit);
    } catch (error) {
      send(response, 400, toJson({ error: (error as Error).message }));
    }
  }

  async function tellSeen(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'DELETE') seen.reset();
    send(response, 200, toJson(seen.report));
  }

  async function stopListening(ms: number): Promise<void> {
    // A free port is lost when nobody listens on it, so the one that was given is used again.
    const address = server.address();
    if (typeof address === 'object' && address) options.port = address.port;
    await delay(1);
    server.close();
    server.closeAllConnections();
    await delay(ms);
    faults.order({ mode: 'none' });
    await listen();
  }

  function exitIn(ms: number): void {
    clearTimeout(exit);
    exit = setTimeout(onEngineDead, ms);
  }

  await listen();
  const address = server.address();
  // Where tests read it from.
  console.log(`listening on ${typeof address === 'object' && address ? address.port : address}`);
  return {
    drain: () => {
      isStopping = true;
      setTimeout(() => server.close(), 100);
    },
    killEngine: () => {
      faults.order({ mode: 'engine-dead' });
      exitIn(engineDeadExitMs);
    },
  };
}

const modelList = (options: FakeModelOptions) => ({
  object: 'list',
  data: [
    {
      id: options.servedName,
      object: 'model',
      created: Math.floor(Date.now() / 1000),
      owned_by: 'vllm',
      root: options.servedName,
      parent: null,
      max_model_len: options.maxModelLen,
      permission: [],
    },
  ],
});

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function send(response: ServerResponse, status: number, { body, headers }: Answer): void {
  response.writeHead(status, headOf(headers, body));
  response.end(body);
}

function sendHalf(response: ServerResponse, { body, headers }: Answer): void {
  response.writeHead(200, headOf(headers, body));
  const bytes = Buffer.from(body);
  response.write(bytes.subarray(0, bytes.length >> 1), () => response.socket?.resetAndDestroy());
}

/** `connection` is set so that Node leaves out its `Keep-Alive: timeout=5`, which vLLM does not send either. */
function headOf(headers: Record<string, string>, body: string | Buffer): Record<string, string> {
  const isStreamed = headers['content-type'] === 'application/octet-stream';
  return {
    ...headers,
    ...(isStreamed ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    server: 'uvicorn',
    vary: 'Origin',
    connection: 'keep-alive',
  };
}
