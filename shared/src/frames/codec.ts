import type { Socket } from 'node:net';
import { Packr } from 'msgpackr';

/** A frame is its length (uint32, little endian, without itself), then one msgpack value. */
const headerBytes = 4;
/** Largest frame that is read: a body of the largest size, or the vectors of 2,048 inputs at 4,096 dimensions. */
const maxFrameBytes = 256 * 1024 * 1024;

// Records and structures are off: peers may be of different builds during a reload, and plain msgpack needs no shared table.
const packr = new Packr({ useRecords: false, moreTypes: false });

/** Up to this many bytes the frames of a turn are copied into one buffer; what is larger is written as it is. */
const copiedBytes = 1024 * 1024;

/**
 * Writes frames to a socket: those of one turn of the event loop in one system call, which costs more than making a
 * small frame does. They leave when the turn's other work is done. Messages are packed at once: their buffers may change.
 */
export class FrameWriter {
  readonly #socket: Socket;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(message: unknown): void {
    const payload = packr.pack(message);
    const header = Buffer.allocUnsafe(headerBytes);
    header.writeUInt32LE(payload.length);
    if (this.#parts.length === 0) setImmediate(() => this.#flush());
    this.#parts.push(header, payload);
    this.#bytes += headerBytes + payload.length;
  }

  #flush(): void {
    const [parts, bytes] = [this.#parts, this.#bytes];
    this.#parts = [];
    this.#bytes = 0;
    if (this.#socket.destroyed) return;
    if (bytes <= copiedBytes) {
      this.#socket.write(Buffer.concat(parts, bytes));
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }
}

/** Collects the chunks of a socket into messages. `feed` returns those that became complete; throws on a frame too large. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #wanted = headerBytes;
  #readingHeader = true;

  feed(chunk: Buffer): unknown[] {
    const messages: unknown[] = [];
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= this.#wanted) {
      const part = this.#take(this.#wanted);
      if (this.#readingHeader) {
        this.#wanted = part.readUInt32LE();
        if (this.#wanted > maxFrameBytes)
          throw new Error(`frame of ${this.#wanted} bytes is over ${maxFrameBytes}`);
      } else {
        messages.push(packr.unpack(part));
        this.#wanted = headerBytes;
      }
      this.#readingHeader = !this.#readingHeader;
    }
    return messages;
  }

  #take(bytes: number): Buffer {
    const first = this.#chunks[0];
    this.#bytes -= bytes;
    if (first && first.length > bytes) {
      this.#chunks[0] = first.subarray(bytes);
      return first.subarray(0, bytes);
    }
    if (first && first.length === bytes) {
      this.#chunks.shift();
      return first;
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = all.length > bytes ? [all.subarray(bytes)] : [];
    return all.subarray(0, bytes);
  }
}
