import type { AuditWriter } from '@er-gateway/shared/audit/audit-writer';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import type { Role } from '@er-gateway/shared/config/schema';
import { RequestError, toRequestError } from '@er-gateway/shared/errors/request-error';
import type { KeyDirectory } from '@er-gateway/shared/keys/key-directory';
import type { Logger } from '@er-gateway/shared/logger';
import type { StateStore } from '@er-gateway/shared/state/store';
import type { RequestHandler } from 'express';
import type { Dialect } from '../dialects/dialect.ts';
import { refuseContradictions, refuseUnknownNumberFields } from '../dialects/number-fields.ts';
import { type DialectRoute, dialectOf } from '../dialects/table.ts';
import type { SchedulerClient } from '../scheduler-client.ts';
import { authenticate } from './authenticate.ts';
import type { CallerView } from './caller-address.ts';
import type { RateGate } from './charge-rate-limit.ts';
import { ClientGone, Exchange, type Route } from './exchange.ts';
import type { FailureGuard } from './failure-guard.ts';
import { checkModelAllowed } from './key-grants.ts';
import { asObject, parseBody } from './parse-body.ts';
import { readJsonBody } from './read-body.ts';
import { readWishes } from './read-wishes.ts';
import type { Recorder } from './recorder.ts';
import { sendAnswer } from './send-answer.ts';
import { sendError } from './send-error.ts';

/** What the stages of a request work with. */
export interface RequestDependencies {
  config: EffectiveConfig;
  keys: KeyDirectory;
  store: StateStore;
  rateGate: RateGate;
  guard: FailureGuard;
  scheduler: SchedulerClient;
  recorder: Recorder;
  callers: CallerView;
  /** For its state; the recorder writes to it. */
  audit: Pick<AuditWriter, 'isFailing' | 'lost'>;
  logger: Logger;
}

/**
 * The path of every request but those for health, from its first line to its record:
 * clock and id -> authenticate -> rate limit -> `work` -> one record. Any stage throws; one function renders the error.
 */
export function handleRequest(
  route: Route,
  { keys, guard, rateGate, recorder, callers, logger }: RequestDependencies,
  work: (exchange: Exchange) => Promise<void> | void,
  isWork = false,
): RequestHandler {
  return async (req, res) => {
    const exchange = new Exchange(req, res, route, callers);
    recorder.begin(exchange);
    try {
      if (route.access !== 'public') {
        exchange.timings.enter('auth');
        await authenticate(exchange, keys, guard);
        exchange.timings.end();
        exchange.timings.enter('limit');
        await rateGate.admit(exchange, isWork);
        exchange.timings.end();
      }
      if (exchange.broken) throw exchange.broken;
      exchange.signal.throwIfAborted(); // what begins for a client that has left would not hear of its end
      await work(exchange);
    } catch (error) {
      const charged = rateGate.afterFailure(exchange, toRequestError(error));
      const refusal = await charged.then(
        () => error,
        overLimit => overLimit,
      );
      sendError(exchange, error instanceof ClientGone ? error : refusal, logger);
    }
  };
}

/** The work of a route that asks a model: body -> dialect -> job -> scheduler -> answer in the dialect. */
export function handleModelRequest(
  dialectRoute: DialectRoute,
  dependencies: RequestDependencies,
): RequestHandler {
  const { config, scheduler, rateGate } = dependencies;
  const { path, dialect: usual } = dialectRoute;
  const route: Route = { name: path, access: 'key', isCharged: true, dialect: usual };
  return handleRequest(
    route,
    dependencies,
    async exchange => {
      const { headers } = exchange.req;
      exchange.timings.enter('parse');
      exchange.wishes = readWishes(headers);
      if (exchange.key?.priority === 'bulk') exchange.wishes.priority = 'bulk';
      const body = asObject(await readJsonBody(exchange, config.gateway.max_body_bytes));
      const dialect = dialectOf(dialectRoute, body, headers);
      exchange.dialect = dialect;
      const request = parseRequest(dialect.schema, body);
      const role = chooseModel(dialect.role, dialect.modelOf(request), config.models);
      checkModelAllowed(exchange.key, config.models[role]);
      const context = { requestId: exchange.id, role, limits: config.limits };
      const job = dialect.toJob(request, context);
      if (dialect.isBulk?.(request)) exchange.wishes.priority = 'bulk';
      exchange.role = role;
      exchange.work = job.kind;
      exchange.model = config.models[role].served_name;
      exchange.inputs = dialect.countInputs(job);
      exchange.timings.end();
      if (exchange.uncharged !== null) {
        exchange.timings.enter('limit');
        await rateGate.chargeWork(exchange, job);
        exchange.timings.end();
      }

      exchange.timings.enter('upstream');
      const result = await scheduler.run(job, exchange);
      exchange.timings.endUpstream(result.upstreamMs);
      exchange.promptTokens = result.promptTokens;
      rateGate.settle(exchange, result.promptTokens);
      exchange.cacheHits = result.cacheHits;
      exchange.upstreams = result.upstreams;

      exchange.res.setHeader('x-er-engine', result.engine);
      exchange.res.setHeader('x-er-cache', `${result.cacheHits}/${exchange.inputs}`);
      if (result.truncated.length > 0) exchange.res.setHeader('x-er-truncated', toRanges(result.truncated));
      const form = dialect.formOf?.(result, request, context);
      await sendAnswer(exchange, dialect.toAnswer(result, request, context), form);
    },
    true,
  );
}

/** The body by its schema; what would change numbers under a name that is unknown here, and what is said twice, is refused. Throws RequestError with the first thing that is wrong. */
export function parseRequest(schema: Dialect['schema'], body: Record<string, unknown>): unknown {
  refuseUnknownNumberFields(body, schema.shape);
  refuseContradictions(body);
  return parseBody(schema, body);
}

/** More than this many ranges are not told: headers have limits. */
const mostRanges = 200;

/** Indexes in ascending order as ranges: `0-4,7`. Ends in `,...` when there are more than fit. */
function toRanges(indexes: readonly number[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const index of indexes) {
    const range = ranges.at(-1);
    if (range && range.last === index - 1) range.last = index;
    else ranges.push({ first: index, last: index });
  }
  const texts = ranges
    .slice(0, mostRanges)
    .map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
  return texts.join(',') + (ranges.length > mostRanges ? ',...' : '');
}

/** The model for a request. Throws RequestError when it names one that is not here, or one for other work. */
function chooseModel(wanted: Role | 'named', name: string | null, models: EffectiveConfig['models']): Role {
  const named = Object.values(models).find(model => model.served_name === name);
  if (name && !named) {
    const known = Object.values(models).map(model => model.served_name);
    throw new RequestError(
      'model_not_found',
      `There is no such model here. Known are ${known.join(' and ')}.`,
      { param: 'model' },
    );
  }
  if (wanted === 'named') return named?.role ?? 'embedding';
  if (named && named.role !== wanted) {
    throw new RequestError(
      'invalid_request',
      `${named.served_name} is the ${named.role} model; this route needs ${models[wanted].served_name}.`,
      { param: 'model' },
    );
  }
  return wanted;
}
