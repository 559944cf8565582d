import { existsSync } from 'node:fs';
import { cpus, hostname, loadavg, uptime } from 'node:os';
import { currentLoad, mem, networkStats } from 'systeminformation';

/** This host at one moment. */
export interface SystemSample {
  hostname: string;
  uptimeSeconds: number;
  /** Busy share of all cores since the sample before, 0 to 1. */
  cpu: { cores: number; busy: number; loadAverage: number[] };
  memory: { totalBytes: number; availableBytes: number };
  /** All network cards: bytes since boot; rates are null in the first sample. */
  network: {
    receivedBytes: number;
    sentBytes: number;
    receivedBytesPerSecond: number | null;
    sentBytesPerSecond: number | null;
  };
}

/** Reads CPU, memory and network of this host. */
export async function readSystem(): Promise<SystemSample> {
  const [load, memory, interfaces] = await Promise.all([currentLoad(), mem(), networkStats('*')]);
  const counted = new Set(countedInterfaces(interfaces.map(({ iface }) => iface)));
  const outer = interfaces.filter(({ iface }) => counted.has(iface));
  return {
    hostname: hostname(),
    uptimeSeconds: Math.round(uptime()),
    cpu: { cores: cpus().length, busy: load.currentLoad / 100, loadAverage: loadavg() },
    memory: { totalBytes: memory.total, availableBytes: memory.available },
    network: {
      receivedBytes: sumOrNull(outer.map(({ rx_bytes }) => rx_bytes)) ?? 0,
      sentBytes: sumOrNull(outer.map(({ tx_bytes }) => tx_bytes)) ?? 0,
      receivedBytesPerSecond: sumOrNull(outer.map(({ rx_sec }) => rx_sec)),
      sentBytesPerSecond: sumOrNull(outer.map(({ tx_sec }) => tx_sec)),
    },
  };
}

/**
 * The interfaces whose bytes are counted: the network cards. What runs over bonds, bridges and virtual pairs runs over a card as
 * well. Where there is no card (in a container), all but loopback.
 */
export function countedInterfaces(
  names: readonly string[],
  hasDevice = (name: string) => existsSync(`/sys/class/net/${name}/device`),
): string[] {
  const cards = names.filter(hasDevice);
  return cards.length > 0 ? cards : names.filter(name => name !== 'lo');
}

/** systeminformation says null for a rate that it has only one reading of. */
function sumOrNull(rates: (number | null)[]): number | null {
  const known = rates.filter(rate => rate !== null);
  return known.length > 0 ? known.reduce((sum, rate) => sum + rate, 0) : null;
}
