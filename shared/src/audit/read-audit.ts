import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
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
  let failure: Error | undefined;
  input.once('error', (error: Error) => {
    failure = error;
  });
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) yield line;
  } finally {
    file.destroy();
  }
  if (failure) throw failure;
}
