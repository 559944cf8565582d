/** Texts of one request that a thread encodes in one go. */
export interface Slice {
  texts: string[];
  /** Index in the request of its first text. */
  start: number;
}

export interface Turn<Request> {
  request: Request;
  slice: Slice;
}

/**
 * Requests that wait for a thread, each cut into slices of about equal work. They take turns slice by slice, so that a
 * request of three texts does not wait for one of 2,048.
 */
export class SliceQueue<Request extends object> {
  readonly #waiting: { request: Request; slices: Slice[] }[] = [];

  add(request: Request, slices: Slice[]): void {
    if (slices.length > 0) this.#waiting.push({ request, slices });
  }

  /** The slice whose turn it is. */
  take(): Turn<Request> | undefined {
    const turn = this.#waiting.shift();
    const slice = turn?.slices.shift();
    if (turn === undefined || slice === undefined) return undefined;
    if (turn.slices.length > 0) this.#waiting.push(turn);
    return { request: turn.request, slice };
  }

  /** Drops what is left of a request. */
  remove(request: Request): void {
    const at = this.#waiting.findIndex(waiting => waiting.request === request);
    if (at !== -1) this.#waiting.splice(at, 1);
  }
}

/** Cuts texts into slices of at most `maxCharacters`; a text that is longer is a slice by itself. */
export function cutSlices(texts: readonly string[], maxCharacters: number): Slice[] {
  const slices: Slice[] = [];
  let characters = 0;
  texts.forEach((text, index) => {
    const last = slices.at(-1);
    if (last !== undefined && characters + text.length <= maxCharacters) {
      last.texts.push(text);
      characters += text.length;
    } else {
      slices.push({ texts: [text], start: index });
      characters = text.length;
    }
  });
  return slices;
}
