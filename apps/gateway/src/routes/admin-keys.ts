import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import {
  keyChangeSchema,
  keyImportSchema,
  keyRotationSchema,
  newKeySchema,
} from '@er-gateway/shared/keys/key-grants';
import type { Express } from 'express';
import type { z } from 'zod';
import { KeyAdmin, type TellChange } from '../keys/key-admin.ts';
import type { AdminChange, Exchange, Route } from '../request/exchange.ts';
import { handleRequest, type RequestDependencies } from '../request/handle-request.ts';
import { asObject, parseBody } from '../request/parse-body.ts';
import { readJsonBody } from '../request/read-body.ts';
import { sendWhole } from '../request/send-answer.ts';

/** `/admin/keys` and below: keys are listed, made, changed, rotated, revoked and imported, by admins. */
export function addKeyRoutes(app: Express, dependencies: RequestDependencies): void {
  const { config, store, recorder } = dependencies;
  const admin = new KeyAdmin(store);
  const on = (
    method: 'get' | 'post' | 'patch' | 'delete',
    path: string,
    work: (exchange: Exchange, id: string) => Promise<void>,
  ) => {
    const route: Route = { name: path, access: 'admin', isCharged: false, dialect: null };
    const handler = handleRequest(route, dependencies, exchange =>
      work(exchange, String(exchange.req.params.id)),
    );
    app[method](path, handler);
  };
  const read = async <Body>(exchange: Exchange, schema: z.ZodType<Body>): Promise<Body> =>
    parseBody(schema, asObject(await readJsonBody(exchange, config.gateway.max_body_bytes)));
  const note =
    (exchange: Exchange, action: AdminChange['action'], settings?: object): TellChange =>
    (keyIds, applied) => {
      exchange.change = {
        action,
        key_ids: keyIds,
        ...(settings && { settings: { ...settings } }),
        ...(applied !== true && { applied }),
      };
      if (exchange.isRecorded) recorder.tellChange(exchange);
    };

  on('get', '/admin/keys', async exchange => send(exchange, 200, { keys: await admin.list() }));
  on('post', '/admin/keys', async exchange => {
    const settings = await read(exchange, newKeySchema);
    checkModels(settings.models, config);
    send(exchange, 201, await admin.create(settings, note(exchange, 'create', settings)));
  });
  on('post', '/admin/keys/import', async exchange => {
    const wanted = await read(exchange, keyImportSchema);
    for (const { models } of wanted.keys) checkModels(models, config);
    send(exchange, 200, await admin.import(wanted, note(exchange, 'import')));
  });
  on('get', '/admin/keys/:id', async (exchange, id) => send(exchange, 200, await admin.show(id)));
  on('patch', '/admin/keys/:id', async (exchange, id) => {
    const change = await read(exchange, keyChangeSchema);
    checkModels(change.models, config);
    send(exchange, 200, await admin.update(id, change, note(exchange, 'update', change)));
  });
  on('delete', '/admin/keys/:id', async (exchange, id) => {
    send(exchange, 200, await admin.revoke(id, note(exchange, 'revoke')));
  });
  on('post', '/admin/keys/:id/rotate', async (exchange, id) => {
    const hasBody = exchange.req.headers['content-type'] !== undefined;
    const rotation = hasBody ? await read(exchange, keyRotationSchema) : keyRotationSchema.parse({});
    const tell = note(exchange, 'rotate', rotation);
    send(exchange, 200, await admin.rotate(id, rotation.grace_seconds, tell));
  });
  const others: Route = { name: '/admin/keys', access: 'admin', isCharged: false, dialect: null };
  const refuse = ({ req }: Exchange) => {
    const allow = allowedMethods.find(({ path }) => path.test(req.path))?.methods;
    if (allow === undefined) throw new RequestError('not_found', 'There is no such route below /admin/keys.');
    throw new RequestError('method_not_allowed', `This route takes ${allow}.`, { headers: { allow } });
  };
  app.use('/admin/keys', handleRequest(others, dependencies, refuse));
}

/** By the path below `/admin/keys`. */
const allowedMethods = [
  { path: /^\/$/, methods: 'GET, POST' },
  { path: /^\/import$/, methods: 'POST' },
  { path: /^\/[^/]+$/, methods: 'GET, PATCH, DELETE' },
  { path: /^\/[^/]+\/rotate$/, methods: 'POST' },
];

function send(exchange: Exchange, status: number, body: unknown): void {
  exchange.res.setHeader('cache-control', 'no-store');
  sendWhole(exchange, status, JSON.stringify(body));
}

/** Throws RequestError for a model that is not here: a key for it would be of no use, by a typing error most likely. */
function checkModels(models: readonly string[] | null | undefined, config: EffectiveConfig): void {
  const known: string[] = roles.flatMap(role => [role, config.models[role].served_name]);
  const unknown = models?.findIndex(name => !known.includes(name)) ?? -1;
  if (unknown >= 0) {
    throw new RequestError(
      'invalid_request',
      `models[${unknown}]: there is no such model here. Known are ${known.join(', ')}.`,
      { param: `models[${unknown}]` },
    );
  }
}
