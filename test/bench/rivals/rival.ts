import type { ProxyServer } from '../systems/bare-proxy.ts';

/** Another proxy that can stand before a model server. */
export interface Rival {
  name: string;
  /** Makes it ready to start, installing what it needs. Returns its version; throws with the reason when it cannot be had. */
  install: () => Promise<string>;
  /** Starts it before a model server at `target` (a base URL); `folder` is for its files. */
  start: (target: string, folder: string) => Promise<ProxyServer>;
}
