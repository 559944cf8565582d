import { hash } from 'node:crypto';

/** Numbers of one model and another's differ by more; those of one model, run again or on another server, by less. */
const sameModelTolerance = 0.01;

/**
 * A short name for the weights that answer: changes when the checkpoint's files do, and when the canary's numbers do. The
 * latter is all there is to see of servers that are run by somebody else.
 */
export class ServedRevision {
  readonly #filesOf: () => string;
  #files: string;
  /** What the canary got when the name was made. */
  #numbers: Float32Array = new Float32Array();
  #name: string;

  /** `filesOf`: what is seen of the checkpoint's files now. */
  constructor(filesOf: () => string) {
    this.#filesOf = filesOf;
    this.#files = filesOf();
    this.#name = this.#makeName();
  }

  get name(): string {
    return this.#name;
  }

  /** Looks at the files again. */
  refresh(): void {
    const files = this.#filesOf();
    if (files === this.#files) return;
    this.#files = files;
    this.#name = this.#makeName();
  }

  /** A server's canary was answered with these numbers. */
  answered(numbers: Float32Array): void {
    const isSame =
      numbers.length === this.#numbers.length &&
      numbers.every(
        (value, index) => Math.abs(value - (this.#numbers[index] as number)) <= sameModelTolerance,
      );
    if (isSame) return;
    this.#numbers = numbers;
    this.#name = this.#makeName();
  }

  #makeName(): string {
    const { buffer, byteOffset, byteLength } = this.#numbers;
    const numbers = hash('sha256', new Uint8Array(buffer, byteOffset, byteLength), 'base64');
    return hash('sha256', `${numbers} ${this.#files}`, 'base64').slice(0, 16);
  }
}
