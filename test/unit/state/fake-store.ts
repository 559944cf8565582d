import { stateUnavailable } from '@er-gateway/shared/state/state-unavailable';
import type {
  ChargeOutcome,
  KeyChange,
  KeyRecord,
  ListedKey,
  RateLimitOutcome,
  StateStore,
  WorkCost,
  WorkLimits,
} from '@er-gateway/shared/state/store';

/** A store whose server the test takes away and gives back. Notes every call that reached it. */
export class FakeStore implements StateStore {
  isAway = false;
  /** As after a restart. */
  readonly sources = new Map<string, readonly KeyRecord[]>();
  readonly calls: string[] = [];
  readonly #listeners: (() => void)[] = [];
  readonly #keyListeners: ((hashes: readonly string[] | null) => void)[] = [];
  hearsChanges = false;

  async publishKeys(source: string, keys: readonly KeyRecord[]): Promise<void> {
    this.#note('publishKeys');
    this.sources.set(source, keys);
  }

  async findKey(hash: string): Promise<KeyRecord | null> {
    this.#note('findKey');
    return [...this.sources.values()].flat().find(key => key.hash === hash) ?? null;
  }

  async listKeys(): Promise<ListedKey[]> {
    this.#note('listKeys');
    return [...this.sources].flatMap(([source, keys]) => keys.map(key => ({ source, key })));
  }

  async changeKeys(_: KeyChange): Promise<boolean> {
    this.#note('changeKeys');
    return true;
  }

  onKeysChanged(listener: (hashes: readonly string[] | null) => void): void {
    this.#keyListeners.push(listener);
  }

  /** Tells of changed keys, as the server does. */
  tellChange(hashes: readonly string[] | null): void {
    for (const listener of this.#keyListeners) listener(hashes);
  }

  async consume(keyId: string, limit: { points: number }, cost: number): Promise<RateLimitOutcome> {
    this.#note(`consume ${keyId} ${cost}`);
    return { isAllowed: true, limit: limit.points, remaining: limit.points, resetMs: 60_000 };
  }

  async charge(keyId: string, _: WorkLimits, cost: WorkCost): Promise<ChargeOutcome> {
    this.#note(`charge ${keyId} ${cost.requests} ${cost.inputs} ${cost.tokens}`);
    return { isAllowed: true, used: cost, resetMs: 60_000 };
  }

  onUp(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {}

  /** The server is there (again), and tells so. */
  comeUp(): void {
    this.isAway = false;
    for (const listener of this.#listeners) listener();
  }

  count(call: string): number {
    return this.calls.filter(name => name.startsWith(call)).length;
  }

  #note(call: string): void {
    this.calls.push(call);
    if (this.isAway) throw stateUnavailable(new Error('gone'));
  }
}
