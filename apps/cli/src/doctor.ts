import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import type { CommandContext } from './command-context.ts';
import type { Finding } from './doctor/finding.ts';
import { machineFindings } from './doctor/machine.ts';
import { modelFindings } from './doctor/models.ts';
import { networkFindings } from './doctor/network.ts';
import { runningSystem } from './running-system.ts';
import { table } from './table.ts';

const marks = { ok: 'ok', warn: 'warn', fail: 'FAIL' };

/** Checks the whole machine and prints what it found, and for each thing that is not well how to mend it. */
export async function doctor(context: CommandContext, { json = false } = {}): Promise<number> {
  const findings = await examine(context);
  context.output.write(json ? `${JSON.stringify(findings, null, 2)}\n` : `${forPeople(findings)}\n`);
  return findings.some(({ status }) => status === 'fail') ? 1 : 0;
}

async function examine(context: CommandContext): Promise<Finding[]> {
  const { root, environment, pm2 } = context;
  const running = await runningSystem(root, pm2);
  let config: EffectiveConfig;
  try {
    config = running.config ?? resolveConfig(root, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const fix = 'correct er.config.yaml or the ER_ variables; docs/configuration.md has every setting';
    return [{ what: 'configuration', status: 'fail', found: error.message, fix }];
  }
  const own = new Set(running.processes.map(({ pid }) => pid));
  return [
    { what: 'configuration', status: 'ok', found: 'every setting is valid', fix: null },
    ...(await machineFindings(context, config)),
    ...(await networkFindings(config, own)),
    ...(await modelFindings(context, config, running.config === null ? null : running.configFile)),
  ];
}

function forPeople(findings: readonly Finding[]): string {
  const rows = findings.map(({ what, status, found }) => [marks[status], what, found]);
  const unwell = findings.filter(({ status }) => status !== 'ok');
  const fixes = unwell.map(({ what, fix }) => `- ${what}: ${fix}`);
  const verdict = unwell.length === 0 ? 'Everything is well.' : `What to do:\n${fixes.join('\n')}`;
  return `${table(['', 'what', 'found'], rows)}\n\n${verdict}`;
}
