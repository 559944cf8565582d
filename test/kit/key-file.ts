import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKey } from '@er-gateway/shared/keys/ensure-key-file';

/** A key file that is there before the gateway is. */
export interface KeyFile {
  file: string;
  keys: string[];
  /** Removes it with its folder. */
  remove: () => void;
}

/** Writes a key file with `count` keys, all of admins, in a temp folder of its own. */
export function makeKeyFile(count: number): KeyFile {
  const folder = mkdtempSync(join(tmpdir(), 'er-keys-'));
  const file = join(folder, 'er_api_keys.json');
  const keys = Array.from({ length: count }, newKey);
  const entries = keys.map((key, place) => ({ key, name: `key-${place}`, role: 'admin' }));
  writeFileSync(file, JSON.stringify({ keys: entries }), { mode: 0o600 });
  return { file, keys, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
