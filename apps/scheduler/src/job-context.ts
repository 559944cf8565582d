import type { TraceHeaders } from '@er-gateway/shared/scheduler-protocol';
import type { PriorityClass } from './queue/item.ts';

/** What every job gets beside itself. */
export interface JobContext {
  requestId: string;
  keyId: string;
  priority: PriorityClass;
  /** The key's part of a busy model, against the 1 of others; 1 when absent. */
  weight?: number;
  /** Neither look into the cache nor fill it. */
  noStore: boolean;
  /** Unix time in milliseconds. */
  deadlineAt: number;
  /** performance.now() of its arrival. */
  arrivedAt: number;
  /** Aborts when the caller hangs up or its deadline passes. */
  signal: AbortSignal;
  /** For the model server; undefined when traces are off. */
  trace?: TraceHeaders | undefined;
  /** What the caller calls its inputs, for errors; the model's usual name when absent. */
  field?: string;
}
