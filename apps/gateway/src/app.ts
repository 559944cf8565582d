import { runPaths } from '@er-gateway/shared/config/run-dir';
import { roles } from '@er-gateway/shared/config/schema';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import express, { type Express, type Request, type Response } from 'express';
import { dialectRoutes } from './dialects/table.ts';
import { teiEmbed } from './dialects/tei.ts';
import type { Route } from './request/exchange.ts';
import { handleModelRequest, handleRequest, type RequestDependencies } from './request/handle-request.ts';
import { addKeyRoutes } from './routes/admin-keys.ts';
import { addDashboardRoutes } from './routes/dashboard.ts';
import { takeFeedback } from './routes/feedback.ts';
import { addHealthRoutes } from './routes/health.ts';
import { sendModels } from './routes/models.ts';
import { sendOpenapi } from './routes/openapi.ts';
import { createProxy } from './routes/proxies.ts';
import { sendTeiInfo } from './routes/tei-info.ts';
import { BrokenRequests, noTunnels } from './transport/broken-requests.ts';
import { allowOrigins, answerPreflight, sendHsts } from './transport/browser-headers.ts';
import { giveMessages, type MessageClasses } from './transport/express-messages.ts';

/** The routes, and what answers where Express would answer by itself: with a stack trace, and without a record. */
export interface GatewayApp {
  app: Express;
  /** For the HTTP/1.1 server that it answers. */
  messages: MessageClasses;
  /** Answers a request that no route could take; `error` is null when its target cannot be read at all. */
  answerUnrouted: (error: unknown, req: Request, res: Response) => void;
  brokenRequests: BrokenRequests;
}

/** Every route of the gateway, in the order in which they are tried. All need a key but those of addHealthRoutes, and the dashboard's login. */
export function createApp(dependencies: RequestDependencies, draining: () => AbortSignal): GatewayApp {
  const { config, scheduler, callers, audit, recorder, logger } = dependencies;
  const brokenRequests = new BrokenRequests(recorder, callers);
  const app = express();
  const messages = giveMessages(app);
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.enable('case sensitive routing');

  const { tls, cors_origins: origins } = config.gateway;
  if (tls.hsts_seconds > 0) app.use(sendHsts(tls.hsts_seconds, callers));
  if (origins.length > 0) {
    const preflight: Route = { name: 'preflight', access: 'public', isCharged: false, dialect: null };
    const answer = handleRequest(preflight, dependencies, answerPreflight);
    app.use(allowOrigins(origins));
    app.use((req, res, next) => (req.method === 'OPTIONS' ? answer(req, res, next) : next()));
  }

  for (const route of dialectRoutes) app.post(route.path, handleModelRequest(route, dependencies));

  const isDraining = () => draining().aborted;
  addHealthRoutes(app, { models: () => scheduler.models, isDraining, audit, recorder, callers });

  const feedbackRoute: Route = { name: '/v1/feedback', access: 'key', isCharged: true, dialect: null };
  app.post(
    '/v1/feedback',
    handleRequest(feedbackRoute, dependencies, exchange => takeFeedback(exchange, { config, scheduler })),
  );

  const modelsRoute: Route = { name: '/v1/models', access: 'key', isCharged: true, dialect: null };
  app.get(
    ['/v1/models', '/v1/models/:model'],
    handleRequest(modelsRoute, dependencies, exchange =>
      sendModels(exchange, { config, models: scheduler.models }),
    ),
  );

  const infoRoute: Route = { name: '/info', access: 'key', isCharged: true, dialect: teiEmbed };
  app.get(
    '/info',
    handleRequest(infoRoute, dependencies, exchange =>
      sendTeiInfo(exchange, { config, models: scheduler.models }),
    ),
  );
  const openapiRoute: Route = { name: '/openapi.json', access: 'key', isCharged: true, dialect: null };
  app.get(
    '/openapi.json',
    handleRequest(openapiRoute, dependencies, exchange => sendOpenapi(exchange, config)),
  );

  addKeyRoutes(app, dependencies);
  addDashboardRoutes(app, dependencies, draining);
  const monitor = { socketPath: runPaths.monitor(config.run_dir) };
  for (const path of ['/metrics', '/dashboard', '/admin']) {
    const route: Route = { name: path, access: 'admin', isCharged: false, dialect: null };
    const proxy = createProxy({ name: 'monitor', target: monitor, prefix: path }, logger);
    app.use(path, handleRequest(route, dependencies, proxy));
  }
  for (const role of roles) {
    const path = `/engines/${role}`;
    const route: Route = { name: path, access: 'admin', isCharged: false, dialect: null };
    const { upstreams, served_name: servedName } = config.models[role];
    const [target = ''] = upstreams;
    const model = { servedName, host: new URL(target).host };
    const proxy = createProxy({ name: `${role} model server`, target, prefix: '', model }, logger);
    app.use(path, handleRequest(route, dependencies, proxy));
  }

  const allowed = new Map<string, string>([
    ...dialectRoutes.map(({ path }) => [path, 'POST'] as const),
    ['/v1/feedback', 'POST'],
    ['/v1/models', 'GET'],
    ['/info', 'GET'],
    ['/openapi.json', 'GET'],
    ['/health', 'GET'],
    ['/health/live', 'GET'],
    ['/health/ready', 'GET'],
  ]);
  const unknownRoute: Route = { name: 'unknown', access: 'key', isCharged: true, dialect: null };
  app.use(
    handleRequest(unknownRoute, dependencies, ({ req }) => {
      const method = allowed.get(req.path);
      if (method === undefined)
        throw new RequestError(
          'not_found',
          'There is no such route here. GET /openapi.json lists what there is.',
        );
      throw new RequestError('method_not_allowed', `This route takes ${method}.`, {
        headers: { allow: method },
      });
    }),
  );
  return {
    app,
    messages,
    answerUnrouted: (error, req, res) => {
      const answer = handleRequest(unknownRoute, dependencies, () => {
        if (error && !(error instanceof URIError)) throw error;
        if (req.method === 'CONNECT') throw noTunnels();
        throw new RequestError('invalid_request', 'The path of the request is not well formed.');
      });
      void answer(req, res, () => {});
    },
    brokenRequests,
  };
}
