import type { Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { RequestError } from '../errors/request-error.ts';

/** A frame is its length (uint32, little endian, without itself), then one msgpack value. */
const headerBytes = 4;
/** Largest frame that is written and read: a body of the largest size, or the vectors of 2,048 inputs at 4,096 dimensions. */
const maxFrameBytes = 256 * 1024 * 1024;

// Records and structures are off: peers may be of different builds during a reload, and plain msgpack needs no shared table.
const packr = new Packr({ useRecords: false, moreTypes: false });

/** Up to this many bytes the frames of a turn are copied into one buffer; what is larger is written as it is. */
const copiedBytes = 1024 * 1024;
/** msgpackr grows its buffer for a large frame, and would keep it: after a frame this large it gets a small one. */
const largeFrameBytes = 1024 * 1024;
const smallBufferBytes = 64 * 1024;
/** A peer that takes nothing for this long, in milliseconds, is stopped or dead: what waits for it would pile up here. */
const stallMs = 10_000;

/**
 * Writes frames to a socket: those of one turn of the event loop in one system call, which costs more than making a
 * small frame does. They leave when the turn's other work is done. Messages are packed at once: their buffers may change.
 * A socket whose peer stops reading is destroyed.
 */
export class FrameWriter {
  readonly #socket: Socket;
  #parts: Buffer[] = [];
  #bytes = 0;
  #stall: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Throws RequestError when the message is larger than its reader takes. */
  write(message: unknown): void {
    const payload = pack(message);
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
      this.#send(Buffer.concat(parts, bytes));
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#send(part);
    this.#socket.uncork();
  }

  #send(bytes: Buffer): void {
    if (!this.#socket.write(bytes, this.#onTaken)) this.#stall ??= this.#startStall();
  }

  #startStall(): NodeJS.Timeout {
    return setTimeout(() => this.#socket.destroy(), stallMs).unref();
  }

  /** The peer has taken something, all of it or a part. */
  readonly #onTaken = () => {
    if (this.#stall === undefined) return;
    clearTimeout(this.#stall);
    this.#stall = this.#socket.writableLength > 0 ? this.#startStall() : undefined;
  };
}

function pack(message: unknown): Buffer {
  const payload = packr.pack(message);
  if (payload.length > largeFrameBytes) packr.useBuffer(Buffer.allocUnsafeSlow(smallBufferBytes));
  if (payload.length <= maxFrameBytes) return payload;
  throw new RequestError(
    'request_too_large',
    `This needs ${Math.ceil(payload.length / 1024 ** 2)} MB inside the gateway, more than the ${maxFrameBytes / 1024 ** 2} MB that it can hand on at once. Send less at once.`,
  );
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
