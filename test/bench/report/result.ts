import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMet, type Outcome, type Scenario } from '../scenario.ts';
import { describeMachine, type Machine } from './machine.ts';
import { describeVersions, type Versions } from './versions.ts';

/** A scenario's run, as it is kept. */
export interface Result extends Outcome {
  scenario: string;
  title: string;
  /** How to run it again, from the project's root. */
  command: string;
  startedAt: string;
  seconds: number;
  /** Smallest settings: the figures mean nothing. */
  isQuick: boolean;
  machine: Machine;
  versions: Versions;
}

/** Where results are kept; those of quick runs end in `.local.json`, which git ignores. */
export const resultsFolder = join(import.meta.dirname, '../results');

/** Writes a run's result; returns its file. */
export function writeResult(
  { name, title }: Scenario,
  outcome: Outcome,
  run: { command: string; startedAt: Date; isQuick: boolean },
): string {
  const result: Result = {
    scenario: name,
    title,
    command: run.command,
    startedAt: run.startedAt.toISOString(),
    seconds: Math.round((Date.now() - run.startedAt.getTime()) / 1000),
    isQuick: run.isQuick,
    machine: describeMachine(),
    versions: describeVersions(),
    ...outcome,
    figures: outcome.figures.map(figure => ({ ...figure, isMet: isMet(figure) })),
  };
  const file = join(resultsFolder, `${name}${run.isQuick ? '.local' : ''}.json`);
  mkdirSync(resultsFolder, { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, shortened, 1)}\n`);
  return file;
}

/** Six digits say all that was measured. */
const shortened = (_name: string, value: unknown) =>
  typeof value === 'number' && !Number.isInteger(value) && Number.isFinite(value)
    ? Number(value.toPrecision(6))
    : value;
