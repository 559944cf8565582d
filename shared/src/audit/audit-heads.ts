import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { slotOf } from './audit-names.ts';

/** How far a lane was written. */
export interface AuditHead {
  lane: string;
  /** Number of the file that is written to. */
  file: number;
  /** Its bytes up to the end of a line, and the chain value of that line. */
  bytes: number;
  chain: string;
}

/** A slot is one line of this length, so that each process replaces its own in one write. */
const slotBytes = 160;

const headsFile = (folder: string) => join(folder, 'heads');

/**
 * Writes down how far a lane is. The chain alone cannot show that the last lines, the last file or a whole lane were taken
 * away; the heads of all lanes, in one file, do. Throws what the file system does.
 */
export function writeHead(folder: string, head: AuditHead): void {
  const text = `${JSON.stringify(head).padEnd(slotBytes - 1)}\n`;
  const file = openSync(headsFile(folder), 'a', 0o600);
  closeSync(file);
  const descriptor = openSync(headsFile(folder), 'r+');
  try {
    writeSync(descriptor, text, slotOf(head.lane) * slotBytes);
  } finally {
    closeSync(descriptor);
  }
}

/** The heads of all lanes; null when there is no such file. */
export function readHeads(folder: string): AuditHead[] | null {
  let text: string;
  try {
    text = readFileSync(headsFile(folder), 'utf8');
  } catch {
    return null;
  }
  // Slots that were never used are zero bytes.
  return text.split(/[\0\n]+/).flatMap(line => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line) as AuditHead];
    } catch {
      return [];
    }
  });
}
