import type { EngineOptions } from '../command-line.ts';
import type { Embedder } from '../model/embedder.ts';

/** What the routes work with. */
export interface EngineContext {
  role: EngineOptions['role'];
  servedName: string;
  /** Unix time in milliseconds. */
  startedAt: number;
  embedder: Embedder;
}
