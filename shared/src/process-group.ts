import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { bootId, groupMembers, readProcess } from './process-table.ts';

/** A group that was killed but has not gone after this long hangs in the kernel (a GPU driver in trouble). */
const killTimeoutMs = 15_000;
const killPollMs = 20;

/** Written when a model server starts, so that the next supervisor recognises what is left of it. */
export interface GroupRecord {
  bootId: string;
  pgid: number;
  startTicks: number;
  supervisorPid: number;
  supervisorStartTicks: number;
}

/** Writes down the group of a model server that was just started. */
export function recordGroup(file: string, pgid: number): void {
  const record: GroupRecord = {
    bootId: bootId(),
    pgid,
    startTicks: readProcess(pgid)?.startTicks ?? 0,
    supervisorPid: process.pid,
    supervisorStartTicks: readProcess(process.pid)?.startTicks ?? 0,
  };
  writeFileSync(file, JSON.stringify(record), { mode: 0o600 });
}

/** The record of the last model server; null when there is none that can be read, or it is from before a reboot. */
export function readGroupRecord(file: string): GroupRecord | null {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as GroupRecord;
    return record.bootId === bootId() ? record : null;
  } catch {
    return null;
  }
}

/** Whether the supervisor that wrote the record still lives (and is not us). */
export function hasLivingSupervisor(record: GroupRecord): boolean {
  if (record.supervisorPid === process.pid) return false;
  const supervisor = readProcess(record.supervisorPid);
  return supervisor !== null && supervisor.startTicks === record.supervisorStartTicks;
}

/**
 * Whether anything of the recorded group is left. The kernel gives out no pid that still names a group, so a leader with
 * another start time means that the group is gone and its number was used again; without a leader the members are ours
 * if they began after it.
 */
export function isGroupLeftOver({ pgid, startTicks }: GroupRecord): boolean {
  const leader = readProcess(pgid);
  if (leader !== null && leader.startTicks !== startTicks) return false;
  return groupMembers(pgid).some(member => member.startTicks >= startTicks);
}

/** SIGKILL to every process of a group until none is left. Returns the pids that are still there after 15 s. */
export async function killGroup(pgid: number): Promise<number[]> {
  const deadline = performance.now() + killTimeoutMs;
  for (;;) {
    const members = groupMembers(pgid);
    if (members.length === 0 || performance.now() > deadline) return members.map(member => member.pid);
    try {
      process.kill(-pgid, 'SIGKILL');
    } catch {
      // went away meanwhile
    }
    await delay(killPollMs);
  }
}
