import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import type { Logger } from '@er-gateway/shared/logger';

const pollIntervalMs = 1000;

/** TLS 1.2 with forward secrecy and authenticated encryption only, and all of TLS 1.3 (Mozilla's "intermediate" without DHE). */
const policy = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
} as const satisfies SecureContextOptions;

/**
 * The certificate and key files, looked at each second (a renewal replaces them one after the other, on any file system):
 * new connections get the new pair, old ones live on. A pair that cannot be used leaves the last good one in force.
 */
export class TlsFiles {
  readonly #paths: { cert: string; key: string };
  readonly #logger: Logger;
  #signature: string;
  #timer: NodeJS.Timeout | undefined;
  /** What to give to a TLS server. */
  context: SecureContextOptions;

  /** Reads them. Throws ConfigError when one cannot be read or they do not belong together. */
  constructor(paths: { cert: string; key: string }, logger: Logger) {
    this.#paths = paths;
    this.#logger = logger;
    this.#signature = this.#look();
    this.context = this.#read();
  }

  /** Calls back after each change that can be used. */
  watch(onChange: (context: SecureContextOptions) => void): void {
    this.#timer ??= setInterval(() => {
      // Taken before reading: a change in between is found next time.
      const signature = this.#look();
      if (signature === this.#signature) return;
      this.#signature = signature;
      try {
        this.context = this.#read();
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        this.#logger.warn('the TLS certificate cannot be used; the one read before stays in force', {
          problem: error.message,
        });
        return;
      }
      onChange(this.context);
      this.#logger.info('the TLS certificate was read again');
    }, pollIntervalMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #read(): SecureContextOptions {
    const context = {
      ...policy,
      cert: readPem(this.#paths.cert, 'cert'),
      key: readPem(this.#paths.key, 'key'),
    };
    try {
      createSecureContext(context);
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      throw new ConfigError([
        `gateway.tls: ${this.#paths.cert} and ${this.#paths.key} are no certificate with its key, in PEM (${code})`,
      ]);
    }
    return context;
  }

  #look(): string {
    return Object.values(this.#paths).map(signatureOf).join(' ');
  }
}

function readPem(path: string, setting: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError([
      `gateway.tls.${setting}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    ]);
  }
}

/** Changes whenever the file's text may have changed, or it comes or goes. */
function signatureOf(path: string): string {
  try {
    const { mtimeNs, size, ino } = statSync(path, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch (error) {
    return `${(error as NodeJS.ErrnoException).code}`;
  }
}
