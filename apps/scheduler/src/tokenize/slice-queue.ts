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

interface Waiting<Request> {
  request: Request;
  slices: Slice[];
}

/**
 * Requests that wait for a thread, each cut into slices of about equal work. Keys take turns slice by slice, and so do the
 * requests of one key: a request of three texts does not wait for one of 2,048, nor a key for another one's hundred requests.
 */
export class SliceQueue<Request extends object> {
  /** In the order of their turns. */
  readonly #lines = new Map<string, Waiting<Request>[]>();

  add(key: string, request: Request, slices: Slice[]): void {
    if (slices.length === 0) return;
    const line = this.#lines.get(key) ?? [];
    line.push({ request, slices: [...slices] });
    this.#lines.set(key, line);
  }

  /** The slice whose turn it is. */
  take(): Turn<Request> | undefined {
    for (const [key, line] of this.#lines) {
      // To the end of the keys.
      this.#lines.delete(key);
      const turn = line.shift();
      const slice = turn?.slices.shift();
      if (turn === undefined || slice === undefined) continue;
      if (turn.slices.length > 0) line.push(turn);
      if (line.length > 0) this.#lines.set(key, line);
      return { request: turn.request, slice };
    }
    return undefined;
  }

  /** Drops what is left of a request. */
  remove(request: Request): void {
    for (const [key, line] of this.#lines) {
      const left = line.filter(waiting => waiting.request !== request);
      if (left.length === line.length) continue;
      if (left.length === 0) this.#lines.delete(key);
      else this.#lines.set(key, left);
      return;
    }
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
