import { join } from 'node:path';

/** Folder of the audit trail. */
export const auditFolder = (logsDir: string) => join(logsDir, 'audit');

/** The lane of the process that puts files away (the monitor); its file says which ones it deleted. */
export const keeperLane = 'keeper';

/** Lanes that one worker number may need at once: a reload runs its old and its new process beside each other. */
export const lanesPerWorker = 8;

/** A worker's lane by number: `gateway-3`, `gateway-3-b`, `gateway-3-c`. */
export function workerLane(instance: number, index: number): string {
  return `gateway-${instance}${index === 0 ? '' : `-${String.fromCharCode(97 + index)}`}`;
}

/** Each lane's place among the heads; the keeper's is the first one. */
export function slotOf(lane: string): number {
  const { instance, letter } = /^gateway-(?<instance>\d+)(?:-(?<letter>[b-h]))?$/.exec(lane)?.groups ?? {};
  if (instance === undefined) return 0;
  return 1 + Number(instance) * lanesPerWorker + (letter === undefined ? 0 : letter.charCodeAt(0) - 97);
}

/** One file of the trail. */
export interface AuditFileName {
  name: string;
  lane: string;
  /** Its place in the lane, from 1; null of the file that is written to. */
  number: number | null;
  isCompressed: boolean;
}

const namePattern = /^(?<lane>[a-z0-9-]+)(?:\.(?<number>\d{6,}))?\.jsonl(?<gz>\.gz)?$/;

/** What a file name says; null for files that are none of the trail's. */
export function parseAuditFileName(name: string): AuditFileName | null {
  const { lane, number, gz } = namePattern.exec(name)?.groups ?? {};
  if (lane === undefined || (number === undefined && gz !== undefined)) return null;
  return {
    name,
    lane,
    number: number === undefined ? null : Number(number),
    isCompressed: gz !== undefined,
  };
}

export const liveFileName = (lane: string) => `${lane}.jsonl`;
export const closedFileName = (lane: string, number: number) =>
  `${lane}.${String(number).padStart(6, '0')}.jsonl`;
