import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';

/**
 * What a server's own tokenizer ends each text with: vLLM adds it to texts, never to ids. Asked of a server once, and again
 * after a server came or went.
 */
export class ServerEnding {
  readonly #pool: () => UpstreamPool;
  #known: number[] | null | undefined;

  constructor(pool: () => UpstreamPool) {
    this.#pool = pool;
  }

  forget(): void {
    this.#known = undefined;
  }

  /** null when the server does not tell. Throws RequestError when none can answer now. */
  async of(signal: AbortSignal): Promise<number[] | null> {
    if (this.#known === undefined) this.#known = await this.#ask(signal);
    return this.#known;
  }

  #ask(signal: AbortSignal): Promise<number[] | null> {
    return this.#pool().run(signal, async upstream => {
      const body = JSON.stringify({ model: upstream.model?.id, prompt: '', add_special_tokens: true });
      try {
        const answer = JSON.parse((await upstream.post('/tokenize', body, signal)).toString());
        return Array.isArray(answer?.tokens) && answer.tokens.every(Number.isInteger) ? answer.tokens : null;
      } catch (error) {
        if (error instanceof SyntaxError || (error instanceof UpstreamFailure && error.isRefusalOfRequest))
          return null;
        throw error;
      }
    });
  }
}
