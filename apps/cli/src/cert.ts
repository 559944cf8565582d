import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { CommandContext } from './command-context.ts';

/** Names by which a machine is reached for a trial, when none are given. */
const usualNames = () => ['localhost', hostname(), '127.0.0.1', '::1'];
const dayMs = 86_400_000;

/** How a certificate for trials is wanted. */
export interface CertOptions {
  /** Folder to write `er-gateway.crt` and `er-gateway.key` to. */
  dir: string;
  /** How long it is valid. */
  days: string;
  /** Replace what is there. */
  force?: boolean;
}

/**
 * `er cert`: makes a key and a certificate signed by itself, for trials of HTTPS. Resolves to the exit status: 1 when
 * there is a pair already, which a running gateway may be using.
 */
export async function cert(
  { root, output }: CommandContext,
  names: readonly string[],
  { dir, days, force = false }: CertOptions,
): Promise<number> {
  const folder = resolve(root, dir);
  const files = { cert: join(folder, 'er-gateway.crt'), key: join(folder, 'er-gateway.key') };
  const validDays = Number(days);
  if (!Number.isInteger(validDays) || validDays < 1 || validDays > 3650) {
    output.write(`--days must be a whole number from 1 to 3650, not ${days}\n`);
    return 1;
  }
  const found = Object.values(files).find(existsSync);
  if (found && !force) {
    output.write(
      `${found} is there already. --force replaces it; a running gateway takes the new one at once.\n`,
    );
    return 1;
  }
  const wanted = names.length > 0 ? names : usualNames();
  const made = await makePair(wanted, validDays);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  rmSync(files.key, { force: true }); // a file that is there keeps its mode
  writeFileSync(files.key, made.key, { mode: 0o600 });
  writeFileSync(files.cert, made.cert, { mode: 0o644 });
  output.write(
    `A certificate for ${wanted.join(', ')}, valid for ${validDays} days, signed by itself: for trials only.\n\n` +
      `er.config.yaml:\n  gateway:\n    tls: { cert: ${files.cert}, key: ${files.key} }\n\n` +
      `curl --cacert ${files.cert} https://${wanted[0]}:2048/health\n`,
  );
  return 0;
}

/** An ECDSA P-256 pair in PEM. The library is loaded here, because no other command needs it. */
async function makePair(names: readonly string[], days: number): Promise<{ cert: string; key: string }> {
  const { generate } = await import('selfsigned');
  const now = Date.now();
  const pair = await generate([{ name: 'commonName', value: names[0] ?? 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // Clocks differ.
    notBeforeDate: new Date(now - dayMs),
    notAfterDate: new Date(now + days * dayMs),
    extensions: [
      // Its own authority: clients that are told to trust it accept it.
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map(name => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name })),
      },
    ],
  });
  return { cert: pair.cert, key: pair.private };
}
