import { statSync } from 'node:fs';
import { join } from 'node:path';
import { auditLines, listAuditFiles } from './read-audit.ts';

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

/** The newest lines that match, oldest first. */
export async function searchAudit(folder: string, query: AuditQuery): Promise<AuditRecord[]> {
  let found: AuditRecord[] = [];
  const keepNewest = () => {
    found.sort((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0));
    found = found.slice(-query.limit);
  };
  for (const file of listAuditFiles(folder)) {
    // The last line is as old as the file's last change.
    if (query.since !== undefined && (modifiedAt(folder, file.name) ?? 0) < query.since) continue;
    for await (const line of auditLines(folder, file)) {
      const record = parseLine(line);
      if (record && matches(record, query)) found.push(record);
      if (found.length >= query.limit * 2 + 1000) keepNewest();
    }
  }
  keepNewest();
  return found;
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
