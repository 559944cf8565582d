import type { Settings } from '@er-gateway/shared/config/schema';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Job } from '@er-gateway/shared/scheduler-protocol';
import type { ResilientStore } from '@er-gateway/shared/state/resilient-store';
import {
  type KeyRecord,
  type WorkCost,
  type WorkLimits,
  type WorkUnit,
  workUnits,
} from '@er-gateway/shared/state/store';
import { estimateTokens } from './estimate-tokens.ts';
import type { Exchange } from './exchange.ts';

/** The window of all limits a minute. It starts with a key's first request. */
const windowSeconds = 60;
/** How long a worker goes by a refusal without asking again, in milliseconds. */
const refusalMs = 1000;
/** Corrections of one key are put together for this long, so that they cost no trip a request. */
const correctionDelayMs = 250;

type LimitSettings = Pick<
  Settings['limits'],
  'requests_per_minute' | 'inputs_per_minute' | 'tokens_per_minute'
>;

/** Why a request is refused. */
interface Refusal {
  unit: WorkUnit;
  error: RequestError;
}

/** What a worker goes by while it lasts; `at` and `until` on the clock of `performance`. */
interface KnownRefusal {
  at: number;
  until: number;
  limits: string;
  usage: NonNullable<Exchange['usage']>;
  refusal: Refusal;
}

/**
 * Charges requests to their keys, over all workers and hosts, before anything is done for them. A key that is limited by
 * requests alone is charged before its body is read; where inputs or tokens count too, all units are charged together when
 * the body is known. Either way a request waits for one trip to the store at most.
 */
export class RateGate {
  readonly #store: Pick<ResilientStore, 'consumeRequest' | 'charge'>;
  readonly #settings: LimitSettings;
  readonly #refusals = new Map<string, KnownRefusal>();
  readonly #corrections = new Map<string, { inputs: number; tokens: number }>();

  constructor(store: Pick<ResilientStore, 'consumeRequest' | 'charge'>, settings: LimitSettings) {
    this.#store = store;
    this.#settings = settings;
  }

  /** Before the body. `isWork`: the charge can wait until the inputs are known. Throws RequestError `rate_limit_exceeded`. */
  async admit(exchange: Exchange, isWork: boolean): Promise<void> {
    const { key, route } = exchange;
    if (key === null) throw new Error('a request is charged after it was authenticated');
    const limits = this.#limitsOf(key);
    if (limits.inputs === null && limits.tokens === null) {
      return this.#chargeRequest(exchange, key, limits, route.isCharged ? 1 : 0);
    }
    if (isWork) {
      this.#refuseAsBefore(exchange, key, limits);
      exchange.uncharged = { limits, cost: { requests: 1, inputs: 0, tokens: 0 } };
      return;
    }
    await this.#charge(exchange, key, limits, { requests: route.isCharged ? 1 : 0, inputs: 0, tokens: 0 });
  }

  /** When the job is known. Tokens are an estimate, which `settle` puts right. Throws RequestError `rate_limit_exceeded`. */
  async chargeWork(exchange: Exchange, job: Job): Promise<void> {
    const { key, uncharged, inputs } = exchange;
    if (uncharged === null || key === null) return;
    exchange.uncharged = null;
    const { limits } = uncharged;
    const cost = { requests: 1, inputs, tokens: limits.tokens === null ? 0 : estimateTokens(job) };
    await this.#charge(exchange, key, limits, cost);
    exchange.charge = { limits, cost };
  }

  /** Puts the tokens right once they are counted. */
  settle(exchange: Exchange, tokens: number): void {
    const { key, charge, usage } = exchange;
    if (charge === null || key === null || charge.limits.tokens === null) return;
    const difference = tokens - charge.cost.tokens;
    if (usage) usage.used = { ...usage.used, tokens: Math.max(0, usage.used.tokens + difference) };
    this.#correct(key.id, charge.limits, 0, difference);
  }

  /**
   * After a failure: gives back the inputs and tokens of work that was not run, and charges the request whose body was
   * refused before it could be. A request stays counted: it was made. What was refused before its key was looked at costs
   * nothing, and is told the limits. Throws RequestError `rate_limit_exceeded` when the limit of requests forbids it.
   */
  async afterFailure(exchange: Exchange, error: RequestError): Promise<void> {
    const { key, charge, uncharged } = exchange;
    if (key === null) return;
    if (charge !== null && isNotRun(error)) {
      exchange.charge = null;
      this.#correct(key.id, charge.limits, -charge.cost.inputs, -charge.cost.tokens);
    }
    exchange.uncharged = null;
    if (exchange.usage !== null) return;
    const limits = this.#limitsOf(key);
    const cost = uncharged?.cost ?? nothing;
    const isPlain = limits.inputs === null && limits.tokens === null;
    const charged = isPlain
      ? this.#chargeRequest(exchange, key, limits, cost.requests)
      : this.#charge(exchange, key, limits, cost);
    await charged.catch((refusal: RequestError) => {
      // A store that is away is no reason to say something else than what was wrong.
      if (refusal.code === 'rate_limit_exceeded') throw refusal;
    });
  }

  #limitsOf(key: KeyRecord): WorkLimits {
    return {
      windowSeconds,
      requests: key.requests_per_minute ?? this.#settings.requests_per_minute,
      inputs: key.inputs_per_minute ?? this.#settings.inputs_per_minute,
      tokens: key.tokens_per_minute ?? this.#settings.tokens_per_minute,
    };
  }

  async #chargeRequest(exchange: Exchange, key: KeyRecord, limits: WorkLimits, cost: number): Promise<void> {
    const points = limits.requests ?? 0;
    const outcome = await this.#store.consumeRequest(key.id, { points, windowSeconds }, cost);
    const used = { requests: points - outcome.remaining, inputs: 0, tokens: 0 };
    exchange.usage = { limits, used, resetMs: outcome.resetMs };
    if (!outcome.isAllowed && cost > 0) refuse(exchange, usedUp('requests', points, 1, outcome.resetMs));
  }

  async #charge(exchange: Exchange, key: KeyRecord, limits: WorkLimits, cost: WorkCost): Promise<void> {
    const { isAllowed, used, resetMs } = await this.#store.charge(key.id, limits, cost);
    exchange.usage = { limits, used, resetMs };
    if (isAllowed) return;
    const unit = workUnits.find(
      name => cost[name] > 0 && used[name] + cost[name] > (limits[name] ?? Number.POSITIVE_INFINITY),
    );
    const over = unit ?? 'requests';
    const refusal = usedUp(over, limits[over] ?? 0, cost[over], resetMs);
    // What no request could get: later ones need not be read.
    if (used[over] >= (limits[over] ?? 0)) this.#remember(exchange.usage, key, refusal);
    refuse(exchange, refusal);
  }

  #remember(usage: KnownRefusal['usage'], key: KeyRecord, refusal: Refusal): void {
    if (this.#refusals.size > 10_000) this.#refusals.clear();
    const at = performance.now();
    const until = at + Math.min(refusalMs, usage.resetMs);
    this.#refusals.set(key.id, { at, until, limits: JSON.stringify(usage.limits), usage, refusal });
  }

  #refuseAsBefore(exchange: Exchange, key: KeyRecord, limits: WorkLimits): void {
    const known = this.#refusals.get(key.id);
    if (!known) return;
    const now = performance.now();
    // A limit that was raised counts at once.
    if (known.until > now && known.limits === JSON.stringify(limits)) {
      exchange.usage = { ...known.usage, resetMs: Math.max(0, known.usage.resetMs - (now - known.at)) };
      refuse(exchange, known.refusal);
    }
    this.#refusals.delete(key.id);
  }

  #correct(keyId: string, limits: WorkLimits, inputs: number, tokens: number): void {
    if (inputs === 0 && tokens === 0) return;
    const waiting = this.#corrections.get(keyId);
    if (waiting) {
      waiting.inputs += inputs;
      waiting.tokens += tokens;
      return;
    }
    const correction = { inputs, tokens };
    this.#corrections.set(keyId, correction);
    setTimeout(() => {
      this.#corrections.delete(keyId);
      const cost = { requests: 0, ...correction };
      // A store that is away has lost the window as well, or has it counted too high for a minute.
      this.#store.charge(keyId, { ...unlimited, windowSeconds: limits.windowSeconds }, cost).catch(() => {});
    }, correctionDelayMs).unref();
  }
}

const nothing: WorkCost = { requests: 0, inputs: 0, tokens: 0 };
const unlimited: WorkLimits = { windowSeconds, requests: null, inputs: null, tokens: null };

/** Errors that say that no model has worked on the request. */
const notRunCodes = new Set<string>([
  'overloaded',
  'rate_limit_exceeded',
  'no_available_upstream',
  'shutting_down',
  'state_unavailable',
  'invalid_request',
]);
const isNotRun = ({ code }: RequestError) => notRunCodes.has(code);

function usedUp(unit: WorkUnit, limit: number, cost: number, resetMs: number): Refusal {
  const seconds = Math.ceil(resetMs / 1000);
  const message =
    cost > limit
      ? `This request takes about ${cost} ${unit}, more than this key's limit of ${limit} ${unit} a minute. Send less at once, or raise limits.${unit}_per_minute.`
      : `This key's limit of ${limit} ${unit} a minute is used up. Try again in ${seconds} s, or raise limits.${unit}_per_minute.`;
  return { unit, error: new RequestError('rate_limit_exceeded', message, { retryAfterMs: resetMs }) };
}

function refuse(exchange: Exchange, { unit, error }: Refusal): never {
  exchange.limitHit = unit;
  throw error;
}
