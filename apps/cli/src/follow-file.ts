import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 200;
const chunkBytes = 65_536;

/** The last lines of a text file; none when there is no such file. */
export function lastLines(file: string, count: number): string[] {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count);
  } catch {
    return [];
  }
}

/**
 * Gives what is added to a file from now on, until `stop` aborts. When the file is put away and another takes its name, the
 * rest of the old one comes first, and the new one from its beginning.
 */
export async function followFile(
  file: string,
  onText: (text: string) => void,
  stop: AbortSignal,
): Promise<void> {
  let descriptor = openOrNull(file);
  let position = descriptor === null ? 0 : fstatSync(descriptor).size;
  const decoder = new TextDecoder();
  const readRest = () => {
    if (descriptor === null) return;
    const buffer = Buffer.alloc(chunkBytes);
    for (;;) {
      const bytes = readSync(descriptor, buffer, 0, chunkBytes, position);
      if (bytes === 0) return;
      position += bytes;
      onText(decoder.decode(buffer.subarray(0, bytes), { stream: true }));
    }
  };
  while (!stop.aborted) {
    const isReplaced = descriptor === null || inodeOf(file) !== fstatSync(descriptor).ino;
    readRest();
    if (isReplaced) {
      const next = openOrNull(file);
      if (next !== null) {
        if (descriptor !== null) closeSync(descriptor);
        descriptor = next;
        position = 0;
        readRest();
      }
    }
    await delay(pollMs, undefined, { signal: stop }).catch(() => {});
  }
  readRest();
  if (descriptor !== null) closeSync(descriptor);
}

function openOrNull(file: string): number | null {
  try {
    return openSync(file, 'r');
  } catch {
    return null;
  }
}

function inodeOf(file: string): number | null {
  try {
    return statSync(file).ino;
  } catch {
    return null;
  }
}
