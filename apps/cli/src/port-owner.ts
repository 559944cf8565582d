import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

/** Who listens on a port. */
export type PortOwner = { pid: number; command: string };

/** Why we could not listen there: the error's code (`EADDRINUSE`, `EACCES`); null when the port is free. */
export function whyTaken(host: string, port: number): Promise<string | null> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/**
 * The process that listens on a TCP port, by /proc; null when none does, or when it belongs to somebody whose files we
 * may not read.
 */
export function portOwner(port: number): PortOwner | null {
  const inodes = listeningInodes(port);
  if (inodes.size === 0) return null;
  for (const pid of listNumbers('/proc')) {
    if (openSockets(pid).some(inode => inodes.has(inode))) return { pid, command: commandOf(pid) };
  }
  return null;
}

/** Lines of /proc/net/tcp: address and port in hex in the second column, state 0A is LISTEN, inode in the tenth. */
function listeningInodes(port: number): Set<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(file => readText(file).split('\n').slice(1));
  const columns = rows.map(row => row.trim().split(/\s+/));
  const found = columns.filter(column => column[1]?.endsWith(suffix) && column[3] === '0A');
  return new Set(found.map(column => column[9] ?? ''));
}

function openSockets(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return listNumbers(folder).flatMap(descriptor => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${descriptor}`))?.[1];
      return inode ? [inode] : [];
    } catch {
      return [];
    }
  });
}

function commandOf(pid: number): string {
  return readText(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, 80) || 'unknown';
}

function listNumbers(folder: string): number[] {
  try {
    return readdirSync(folder)
      .map(Number)
      .filter(number => Number.isInteger(number));
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
