import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { type AuditFileName, parseAuditFileName } from './audit-names.ts';

/** The files of the trail in the order in which each lane wrote them; none when there is no folder. */
export function listAuditFiles(folder: string): AuditFileName[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const files = names.map(parseAuditFileName).filter(file => file !== null);
  // A crash while a file is compressed leaves both forms; one of them is enough.
  const plain = new Set(files.filter(file => !file.isCompressed).map(({ name }) => name));
  return files
    .filter(file => !file.isCompressed || !plain.has(file.name.slice(0, -'.gz'.length)))
    .sort((one, other) =>
      one.lane === other.lane
        ? (one.number ?? Number.POSITIVE_INFINITY) - (other.number ?? Number.POSITIVE_INFINITY)
        : one.lane < other.lane
          ? -1
          : 1,
    );
}

/** The lines of one file, unpacked. Throws what reading or unpacking does. */
export async function* auditLines(
  folder: string,
  { name, isCompressed }: AuditFileName,
): AsyncGenerator<string> {
  const file = createReadStream(join(folder, name));
  const input = isCompressed ? file.pipe(createGunzip()) : file;
  // An error of the file does not end the pipe by itself.
  if (input !== file) file.once('error', error => input.destroy(error));
  input.setEncoding('utf8');
  let rest = '';
  try {
    // Not by node:readline, which ends lines at U+2028 too: JSON has that inside of strings.
    for await (const chunk of input) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } finally {
    file.destroy();
  }
  if (rest !== '') yield rest;
}

/** A lane that is put away, compressed or deleted from again and again while it is read is taken as it was last. */
const mostReadings = 5;

/**
 * What `read` makes of a lane's files. They may be put away, compressed and deleted meanwhile: it reads again when they are
 * others afterwards than before.
 */
export async function readLane<Result>(
  folder: string,
  lane: string,
  read: (files: AuditFileName[]) => Promise<Result>,
): Promise<Result> {
  const filesNow = () => listAuditFiles(folder).filter(file => file.lane === lane);
  for (let reading = 1; ; reading++) {
    const files = filesNow();
    const result = await read(files);
    const names = (list: AuditFileName[]) => list.map(({ name }) => name).join();
    if (reading === mostReadings || names(files) === names(filesNow())) return result;
  }
}
