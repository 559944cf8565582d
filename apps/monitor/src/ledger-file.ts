import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { definitionsHash } from '@er-gateway/shared/metrics/definitions-hash';
import { type LedgerState, parseMetrics } from './counter-ledger.ts';

/** What the monitor before this one had counted; nothing when there is no such file, or it is of another version: then counting starts anew. */
export function readLedger(file: string): LedgerState {
  try {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as LedgerState & { definitionsHash: string };
    const isUsable =
      kept.definitionsHash === definitionsHash &&
      parseMetrics(kept.base) !== null &&
      kept.last.every(([key, metrics]) => typeof key === 'string' && parseMetrics(metrics) !== null);
    if (isUsable) return { base: kept.base, last: kept.last };
  } catch {
    // none, or not readable: the same as none
  }
  return { base: [], last: [] };
}

/** Keeps the counts; readers see the old or the new file, never half. */
export async function writeLedger(file: string, state: LedgerState): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, JSON.stringify({ definitionsHash, ...state }), { mode: 0o600 });
  await rename(draft, file);
}
