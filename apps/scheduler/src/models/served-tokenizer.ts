import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { EffectiveModel } from '@er-gateway/shared/config/effective-config';
import type { Logger } from '@er-gateway/shared/logger';
import { openModelTokenizer } from '../tokenize/model-tokenizer.ts';
import type { ModelTokenizer } from './model-tokenizer.ts';

/** A model's own tokenizer, from the time when its file can be read; until then, or for ever, its server tokenizes. */
export class ServedTokenizer {
  readonly #model: EffectiveModel;
  readonly #logger: Logger;
  #current: ModelTokenizer | null = null;
  #absence: string | null = null;
  /** Size and time of the file that cannot be used: it is not read again before it changes. */
  #useless: string | null = null;
  #looking: Promise<void> | null = null;

  constructor(model: EffectiveModel, logger: Logger) {
    this.#model = model;
    this.#logger = logger;
  }

  get current(): ModelTokenizer | null {
    return this.#current;
  }

  /** Why there is none, for people; null when there is one, or the engine has its own. */
  get absence(): string | null {
    return this.#absence;
  }

  /** Opens it when that is possible now: model folders may come later than this process. */
  look(): Promise<void> {
    if (this.#current !== null || this.#model.engine === 'builtin') return Promise.resolve();
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async close(): Promise<void> {
    await this.#looking;
    await this.#current?.close();
  }

  async #look(): Promise<void> {
    const { path, role, served_name: name } = this.#model;
    const file = join(path, 'tokenizer.json');
    let stamp: string | null = null;
    try {
      const found = statSync(file, { throwIfNoEntry: false });
      if (found === undefined) {
        this.#miss(`there is no tokenizer.json in models.${role}.path (${path})`);
        return;
      }
      stamp = `${found.size} ${found.mtimeMs}`;
      if (stamp === this.#useless) return;
      this.#current = await openModelTokenizer(file, { isEmbedding: role === 'embedding' });
      const { forgottenEnding } = this.#current;
      if (forgottenEnding !== null) {
        this.#logger.warn(
          `${name}: ${file} does not end texts with ${forgottenEnding}, as the model wants it; here they get it. Take the model's own tokenizer.json, or what asks the model server itself gets other vectors`,
        );
      }
      if (this.#absence !== null) this.#logger.info(`${name}: its tokenizer is here now`);
      this.#absence = null;
    } catch (error) {
      this.#useless = stamp;
      this.#miss((error as Error).message);
    }
  }

  #miss(why: string): void {
    if (why === this.#absence) return;
    this.#absence = why;
    this.#logger.warn(`${this.#model.served_name}: its server tokenizes, since ${why}`);
  }
}
