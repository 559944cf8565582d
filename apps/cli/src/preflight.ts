import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { readProcess } from '@er-gateway/shared/process-table';
import { recordedGroups } from './leftover-groups.ts';
import { type PortOwner, portOwner, whyTaken } from './port-owner.ts';

/** A port that an app will listen on. */
export interface PortClaim {
  app: string;
  setting: string;
  host: string;
  port: number;
}

/** Every TCP port of the system, gateway first. */
export function portClaims(config: EffectiveConfig): PortClaim[] {
  const claims = [
    { app: 'gateway', setting: 'gateway.port', host: config.gateway.host, port: config.gateway.port },
    { app: 'monitor', setting: 'monitor.port', host: '127.0.0.1', port: config.monitor.port },
  ];
  for (const role of roles) {
    const model = config.models[role];
    if (model.engine === 'external') continue;
    for (const url of model.upstreams) {
      claims.push({
        app: role,
        setting: `models.${role}.port`,
        host: '127.0.0.1',
        port: Number(new URL(url).port),
      });
    }
  }
  return claims;
}

/**
 * One line for each port of `apps` that somebody else holds: which, whose, and what to do. A model server of ours that
 * outlived its supervisor is not somebody else: the next supervisor removes it.
 */
export async function takenPorts(config: EffectiveConfig, apps: ReadonlySet<string>): Promise<string[]> {
  const claims = portClaims(config).filter(claim => apps.has(claim.app));
  const reasons = await Promise.all(claims.map(({ host, port }) => whyTaken(host, port)));
  const ours = new Set(recordedGroups(config.run_dir).map(({ pgid }) => pgid));
  return claims.flatMap((claim, place) => {
    const reason = reasons[place];
    const owner = reason === 'EADDRINUSE' ? portOwner(claim.port) : null;
    if (!reason || (owner && ours.has(readProcess(owner.pid)?.group ?? 0))) return [];
    return [describe(claim, reason, owner)];
  });
}

function describe({ setting, host, port }: PortClaim, reason: string, owner: PortOwner | null): string {
  const variable = `ER_${setting.replaceAll('.', '_').toUpperCase()}`;
  const remedy = `Set ${setting} in er.config.yaml or ${variable} to another port`;
  if (reason !== 'EADDRINUSE')
    return `${setting}: cannot listen on ${host}, port ${port} (${reason}). ${remedy}.`;
  const whose = owner
    ? `taken by pid ${owner.pid} (${owner.command})`
    : `taken by another process (sudo ss -ltnp 'sport = :${port}' names it)`;
  return `${setting}: port ${port} is ${whose}. ${remedy}, or stop that process.`;
}
