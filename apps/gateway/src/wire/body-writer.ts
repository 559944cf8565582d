import { maxVectorTextBytes, writeVectorText } from './float-text.ts';

/** A piece of an answer's body: text, bytes as they are, or float32 numbers (a DataView) that become a JSON array. */
export type BodyPart = string | Uint8Array | DataView;

/**
 * Bodies are written one behind the other into memory of this size: a slice of a large answer (128 KiB), and room for the vector
 * that goes beyond it. A client that does not take its answer keeps all of it, until its connection is closed.
 */
const slabBytes = 160 * 1024;
/** Up to this length a text gets room for the most bytes that it could have, 3 a unit of UTF-16. */
const shortText = 1024;

const noMemory = Buffer.allocUnsafeSlow(0);

/**
 * Writes the parts of bodies into memory that V8 does not move. As strings, each answer of 13 kB was copied on the heap three
 * times (joined, measured, put behind its header), and survivors of each collection once more: a sixth of a worker's time.
 */
export class BodyWriter {
  #slab = noMemory;
  #view = new DataView(noMemory.buffer);
  #start = 0;
  #end = 0;

  /** Writes the next parts, until they have so many bytes or there are no more. Whatever they throw passes through. */
  writeUpTo(parts: Iterator<BodyPart>, bytes: number): { body: Buffer; isLast: boolean } {
    this.#end = this.#start;
    let isLast = false;
    while (this.#end - this.#start < bytes && !isLast) {
      const { value, done } = parts.next();
      if (done) isLast = true;
      else this.#append(value);
    }
    const body = this.#slab.subarray(this.#start, this.#end);
    // What was made for one large part goes with its body.
    if (this.#slab.length > slabBytes) this.#use(noMemory, 0);
    this.#start = this.#end;
    return { body, isLast };
  }

  #append(part: BodyPart): void {
    if (typeof part === 'string') {
      this.#makeRoom(part.length <= shortText ? part.length * 3 : Buffer.byteLength(part));
      this.#end += this.#slab.write(part, this.#end);
    } else if (part instanceof DataView) {
      this.#makeRoom(maxVectorTextBytes(part.byteLength / 4));
      this.#end = writeVectorText(this.#view, this.#end, part);
    } else {
      this.#makeRoom(part.byteLength);
      this.#slab.set(part, this.#end);
      this.#end += part.byteLength;
    }
  }

  /** Goes on in new memory when there is too little left; what was written there stays as long as somebody sends it. */
  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#slab.length) return;
    const begun = this.#slab.subarray(this.#start, this.#end);
    const slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, begun.length + bytes));
    slab.set(begun);
    this.#use(slab, begun.length);
  }

  /** `written`: bytes of the body under way that are in it. */
  #use(slab: Buffer<ArrayBuffer>, written: number): void {
    this.#slab = slab;
    this.#view = new DataView(slab.buffer);
    this.#start = 0;
    this.#end = written;
  }
}
