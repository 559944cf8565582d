import type { GatewayStatus, LastError } from '@er-gateway/shared/gateway-status';
import type { ObservedProcess } from './observer.ts';

/** Most kinds of errors that are shown. */
const mostErrors = 20;

/** The newest error of each kind over all workers, those that have ended since included. */
export class ErrorLog {
  readonly #byKind = new Map<string, LastError>();

  /** Takes what the workers say. */
  add(processes: readonly ObservedProcess[]): void {
    for (const { app, status } of processes) {
      if (app !== 'gateway') continue;
      for (const error of (status as Partial<GatewayStatus> | null)?.lastErrors ?? []) {
        const kind = `${error.code} ${error.route}`;
        const known = this.#byKind.get(kind);
        if (known === undefined || known.at < error.at) this.#byKind.set(kind, error);
      }
    }
  }

  /** Newest first. */
  list(): LastError[] {
    return [...this.#byKind.values()].sort((a, b) => b.at - a.at).slice(0, mostErrors);
  }
}
