import { runPaths } from '@er-gateway/shared/config/run-dir';
import type { DashboardKeys } from '@er-gateway/shared/dashboard-keys';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { KeyRecord } from '@er-gateway/shared/state/store';
import type { Express, Request } from 'express';
import { KeyAdmin } from '../keys/key-admin.ts';
import { authenticate, presentedKey } from '../request/authenticate.ts';
import type { Exchange, Route } from '../request/exchange.ts';
import { handleRequest, type RequestDependencies } from '../request/handle-request.ts';
import { sendWhole } from '../request/send-answer.ts';
import { Sessions, sessionCookie, sessionSeconds } from '../sessions.ts';
import { createProxy } from './proxies.ts';

/** How often a stream that is open asks whether its key and session still hold, in milliseconds. */
const recheckMs = 2000;

/** Scripts and styles of the page: public, because the login form needs them. Nothing else may look like one. */
const assetPath = /^\/dashboard\/assets\/[a-z]+\.(?:js|css)$/;

/**
 * The dashboard: pages of the monitor, for an admin's key or a session that was begun with one. A session only reads, and
 * only here; every change elsewhere needs the key itself, which no other site's page can make a browser send.
 */
export function addDashboardRoutes(
  app: Express,
  dependencies: RequestDependencies,
  draining: () => AbortSignal,
): void {
  const { config, keys, store, logger } = dependencies;
  const sessions = new Sessions(runPaths.sessions(config.run_dir));
  const keyOfSession = async (req: Request): Promise<KeyRecord | null> => {
    const session = await sessions.of(req);
    return session && (await keys.findHash(session.keyHash));
  };
  const common = { isCharged: false, dialect: null } as const;
  const open: Route = { ...common, name: '/dashboard', access: 'public' };
  const withKey: Route = { ...common, name: '/dashboard', access: 'admin' };
  const withSession: Route = { ...withKey, keyOfSession };
  const monitor = { socketPath: runPaths.monitor(config.run_dir) };
  const toMonitor = createProxy({ name: 'monitor', target: monitor, prefix: '' }, logger);

  app.get(assetPath, handleRequest(open, dependencies, toMonitor));

  const page = handleRequest(withSession, dependencies, toMonitor);
  const loginPage = handleRequest(open, dependencies, exchange => {
    exchange.errorCode = 'invalid_api_key';
    exchange.req.url = '/dashboard/login';
    return toMonitor(exchange);
  });
  // The page's addresses are relative, and so is this one: there may be a proxy with a prefix.
  const withoutSlash = handleRequest(open, dependencies, exchange => {
    const query = /\?.*/.exec(exchange.req.url)?.[0] ?? '';
    exchange.res.setHeader('location', `../dashboard${query}`);
    sendWhole(exchange, 308, '', 'text/plain');
  });
  app.get('/dashboard', async (req, res, next) => {
    if (req.path.endsWith('/') && prefersHtml(req)) return withoutSlash(req, res, next);
    let hasLeft = false;
    res.once('close', () => {
      hasLeft = true;
    });
    const isVisitor =
      presentedKey(req) === null && prefersHtml(req) && (await keyOfSession(req).catch(() => null)) === null;
    if (hasLeft) return; // its end would never be heard of, and it would count as under way for good
    return (isVisitor ? loginPage : page)(req, res, next);
  });

  const events = createProxy(
    {
      name: 'monitor',
      target: monitor,
      prefix: '',
      until: exchange => AbortSignal.any([draining(), lossOfAccess(exchange, dependencies)]),
    },
    logger,
  );
  app.get(
    '/dashboard/events',
    handleRequest(withSession, dependencies, exchange => {
      if (draining().aborted) throw new RequestError('shutting_down', 'This worker is being stopped.');
      return events(exchange);
    }),
  );

  const keyAdmin = new KeyAdmin(store);
  app.get(
    '/dashboard/keys',
    handleRequest(withSession, dependencies, async exchange => {
      const list: DashboardKeys = {
        keys: await keyAdmin.list(),
        usual_requests_per_minute: config.limits.requests_per_minute,
      };
      exchange.res.setHeader('cache-control', 'no-store');
      sendWhole(exchange, 200, JSON.stringify(list));
    }),
  );

  app
    .route('/dashboard/session')
    .get(
      handleRequest(withSession, dependencies, async exchange => {
        const session = await sessions.of(exchange.req);
        sendSession(exchange, session?.expiresAt ?? null);
      }),
    )
    .post(
      handleRequest(withKey, dependencies, async exchange => {
        const { id, session } = await sessions.begin((exchange.key as KeyRecord).hash);
        exchange.res.setHeader('set-cookie', cookie(exchange, id, sessionSeconds));
        sendSession(exchange, session.expiresAt);
      }),
    )
    .delete(
      handleRequest(open, dependencies, async exchange => {
        await sessions.end(exchange.req);
        exchange.res.setHeader('set-cookie', cookie(exchange, '', 0));
        sendWhole(exchange, 200, '{}');
      }),
    );
}

/** Whether the answer is for a browser's window: curl and SDKs take anything, or JSON. */
const prefersHtml = (req: Request) => req.accepts(['json', 'html']) === 'html';

/**
 * Never readable by scripts, never sent with a request that another site began, only over TLS where there is TLS. Without a
 * path it is for where it was set, the folder /dashboard, behind a proxy's prefix too.
 */
const cookie = ({ isSecure }: Exchange, id: string, maxAgeSeconds: number) =>
  `${sessionCookie}=${id}; HttpOnly; SameSite=Strict; Max-Age=${maxAgeSeconds}${isSecure ? '; Secure' : ''}`;

function sendSession(exchange: Exchange, expiresAt: number | null): void {
  exchange.res.setHeader('cache-control', 'no-store');
  const body = {
    name: exchange.key?.name ?? null,
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  };
  sendWhole(exchange, 200, JSON.stringify(body));
}

/** Aborts when the key is removed or is no admin's any more, or the session is over, while its answer goes on. */
function lossOfAccess(exchange: Exchange, { keys, guard }: RequestDependencies): AbortSignal {
  const lost = new AbortController();
  const timer = setInterval(() => {
    authenticate(exchange, keys, guard).catch(error => {
      if (!(error instanceof RequestError) || error.status < 500) lost.abort();
    });
  }, recheckMs).unref();
  exchange.res.once('close', () => clearInterval(timer));
  return lost.signal;
}
