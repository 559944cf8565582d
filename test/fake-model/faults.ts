/** What can be ordered at `POST /__fault`. */
export interface Fault {
  mode: FaultMode;
  /** How many requests it hits; all until the next order when absent. */
  count?: number;
  /** Only requests whose path begins so. */
  path?: string;
  /** `slow`: added before the answer. `loading`: how long nothing listens. `engine-dead`: until the exit (5000). */
  ms?: number;
  /** `status`: what is answered. */
  status?: number;
  message?: string;
}

/**
 * - `none`: back to health
 * - `hang`: reads the request, never answers; /health stays 200, as with a stuck GPU
 * - `reset`: closes the connection instead of answering
 * - `reset-mid-answer`: sends the head and half of the body, then closes
 * - `status-500`, `status`: an error in vLLM's envelope
 * - `nan`: the first value of every vector, and every score, is not a number
 * - `wrong-count`: the last item of the answer is missing
 * - `wrong-dimension`: every vector lacks its last number
 * - `slow`: answers `ms` later
 * - `loading`: connections are refused for `ms`, those that are open are closed
 * - `engine-dead`: 500 to everything, /health 503, and the process ends with exit code 0, as vLLM does
 */
export type FaultMode =
  | 'none'
  | 'hang'
  | 'reset'
  | 'reset-mid-answer'
  | 'status-500'
  | 'status'
  | 'nan'
  | 'wrong-count'
  | 'wrong-dimension'
  | 'slow'
  | 'loading'
  | 'engine-dead';

const modes: FaultMode[] = [
  'none',
  'hang',
  'reset',
  'reset-mid-answer',
  'status-500',
  'status',
  'nan',
  'wrong-count',
  'wrong-dimension',
  'slow',
  'loading',
  'engine-dead',
];

/** The fault that was ordered last, and how many more requests it hits. */
export class Faults {
  #fault: Fault = { mode: 'none' };

  /** Replaces the order. Throws on a mode that does not exist. */
  order(fault: Fault): void {
    if (!modes.includes(fault.mode)) throw new Error(`mode must be one of ${modes.join(', ')}`);
    this.#fault = { ...fault };
  }

  get isEngineDead(): boolean {
    return this.#fault.mode === 'engine-dead';
  }

  /** The fault for this request, which counts as hit. */
  next(path: string): Fault {
    const fault = this.#fault;
    if (!path.startsWith(fault.path ?? '/')) return { mode: 'none' };
    if (fault.count === undefined) return fault;
    if (fault.count < 1) return { mode: 'none' };
    fault.count--;
    return { ...fault };
  }
}
