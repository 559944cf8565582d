import type { LastError } from '@er-gateway/shared/gateway-status';
import { toRouteLabel } from '@er-gateway/shared/metrics/definitions';
import type { Exchange } from './exchange.ts';

/** The newest error of each kind that this worker answered: bounded, because codes and routes are closed sets. */
export class LastErrors {
  readonly #byKind = new Map<string, LastError>();

  /** Notes an exchange that ended with an error. */
  note({ errorCode, errorMessage, route, id, key }: Exchange, status: number): void {
    if (errorCode === null || errorMessage === null) return;
    const label = toRouteLabel(route.name);
    this.#byKind.set(`${errorCode} ${label}`, {
      at: Date.now(),
      status,
      code: errorCode,
      route: label,
      message: errorMessage,
      requestId: id,
      keyName: key?.name ?? null,
    });
  }

  list(): LastError[] {
    return [...this.#byKind.values()];
  }
}
