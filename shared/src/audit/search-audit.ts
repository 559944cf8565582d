import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditFileName } from './audit-names.ts';
import { auditLines, listAuditFiles, readLane } from './read-audit.ts';

/** One line of the trail. */
export interface AuditRecord {
  time: string;
  key_id?: string | null;
  key_name?: string | null;
  request_id?: string;
  address?: string | null;
  route?: string;
  status?: number;
  code?: string | null;
  [field: string]: unknown;
}

/** What to look for; what is left out matches all. */
export interface AuditQuery {
  /** Id or name. */
  key?: string;
  /** Unix time in milliseconds. */
  since?: number;
  until?: number;
  request?: string;
  address?: string;
  route?: string;
  status?: number;
  code?: string;
  /** Only changes by administrators. */
  changes?: boolean;
  /** The newest so many. */
  limit: number;
}

/** The newest lines that match, oldest first. The trail may be written to and tidied meanwhile. */
export async function searchAudit(folder: string, query: AuditQuery): Promise<AuditRecord[]> {
  let found: AuditRecord[] = [];
  for (const lane of new Set(listAuditFiles(folder).map(file => file.lane))) {
    const ofLane = await readLane(folder, lane, files => searchFiles(folder, files, query));
    found = newest([...found, ...ofLane], query.limit);
  }
  return found;
}

async function searchFiles(
  folder: string,
  files: readonly AuditFileName[],
  query: AuditQuery,
): Promise<AuditRecord[]> {
  let found: AuditRecord[] = [];
  for (const file of files) {
    // The last line is as old as the file's last change.
    if (query.since !== undefined && (modifiedAt(folder, file.name) ?? 0) < query.since) continue;
    try {
      for await (const line of auditLines(folder, file)) {
        const record = parseLine(line);
        if (record && matches(record, query)) found.push(record);
        if (found.length >= query.limit * 2 + 1000) found = newest(found, query.limit);
      }
    } catch (error) {
      // It was compressed or deleted meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return newest(found, query.limit);
}

function newest(records: AuditRecord[], limit: number): AuditRecord[] {
  return records
    .sort((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0))
    .slice(-limit);
}

function matches(record: AuditRecord, query: AuditQuery): boolean {
  const at = Date.parse(record.time);
  if (query.since !== undefined && at < query.since) return false;
  if (query.until !== undefined && at > query.until) return false;
  if (query.key !== undefined && record.key_id !== query.key && record.key_name !== query.key) return false;
  if (query.changes && record.change === undefined) return false;
  return (
    isAs(record.request_id, query.request) &&
    isAs(record.address, query.address) &&
    isAs(record.route, query.route) &&
    isAs(record.status, query.status) &&
    isAs(record.code, query.code)
  );
}

const isAs = (value: unknown, wanted: unknown) => wanted === undefined || value === wanted;

function parseLine(line: string): AuditRecord | null {
  try {
    const { chain: _, ...record } = JSON.parse(line) as AuditRecord;
    return typeof record.time === 'string' ? record : null;
  } catch {
    return null;
  }
}

function modifiedAt(folder: string, name: string): number | null {
  return statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? null;
}
