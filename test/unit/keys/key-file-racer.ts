import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureKeyFile } from '@er-gateway/shared/keys/ensure-key-file';

// One of the processes of the race in ensure-key-file.test.ts: says that it is there, waits, and makes file after file.
const [folder = '', files = '0'] = process.argv.slice(2);
process.once('message', () => {
  const result = Array.from({ length: Number(files) }, (_, index) => {
    const file = join(folder, 'race', `${index}.json`);
    const ensured = ensureKeyFile(file);
    return { ...ensured, read: JSON.parse(readFileSync(file, 'utf8')).keys[0].key };
  });
  process.send?.(result, () => process.disconnect());
});
process.send?.('ready');
