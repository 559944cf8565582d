import { auditFolder } from '@er-gateway/shared/audit/audit-names';
import { type AuditRecord, searchAudit } from '@er-gateway/shared/audit/search-audit';
import { verifyAudit } from '@er-gateway/shared/audit/verify-audit';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import type { Command } from 'commander';
import { type CommandContext, CommandError } from './command-context.ts';
import { momentOf } from './moment.ts';
import { runningSystem } from './running-system.ts';
import { table } from './table.ts';

interface SearchOptions {
  key?: string;
  since?: string;
  until?: string;
  request?: string;
  address?: string;
  route?: string;
  status?: string;
  code?: string;
  changes?: boolean;
  limit: string;
  json?: boolean;
}

/** `er audit …`: reads the audit trail's files; nothing needs to run. */
export function addAuditCommands(program: Command, context: CommandContext): void {
  const audit = program
    .command('audit')
    .description('the audit trail: search it, and check that it is whole');
  const print = (text: string): void => void context.output.write(`${text}\n`);
  const folder = async () => {
    const { root, environment, pm2 } = context;
    const config = (await runningSystem(root, pm2)).config ?? resolveConfig(root, environment);
    return auditFolder(config.logs.dir);
  };

  audit
    .command('search', { isDefault: true })
    .description('the newest lines that match, oldest first')
    .option('--key <key>', 'id or name of a key')
    .option('--since <time>', '30m, 24h, 7d ago; or a date')
    .option('--until <time>')
    .option('--request <id>', 'x-request-id of an answer')
    .option('--address <address>', 'where it came from')
    .option('--route <route>', 'for example /v1/embeddings')
    .option('--status <status>', 'HTTP status of the answer')
    .option('--code <code>', 'error code, for example rate_limit_exceeded')
    .option('--changes', 'only changes by administrators')
    .option('-n, --limit <n>', 'how many', '100')
    .option('--json', 'a JSON line each, with all that is known')
    .action(async (options: SearchOptions) => {
      const { since, until, status, limit, json, ...rest } = options;
      const found = await searchAudit(await folder(), {
        ...rest,
        limit: wholeNumber(limit),
        ...(since !== undefined && { since: momentOf(since, -1) }),
        ...(until !== undefined && { until: momentOf(until, -1) }),
        ...(status !== undefined && { status: wholeNumber(status) }),
      });
      if (json) for (const record of found) print(JSON.stringify(record));
      else
        print(
          table(
            ['time', 'key', 'address', 'route', 'status', 'inputs', 'tokens', 'ms', 'request'],
            found.map(row),
          ),
        );
    });
  audit
    .command('verify')
    .description('find changed and missing lines and files; ends with 1 when there are any')
    .action(async () => {
      const { files, lines, lost, problems } = await verifyAudit(await folder());
      for (const problem of problems) print(problem);
      const told =
        lost > 0 ? ` ${lost} lines could not be written at the time (a full disk), as the trail says.` : '';
      if (problems.length > 0)
        throw new CommandError(`${problems.length} problems in ${files} files, ${lines} lines.${told}`);
      print(`The audit trail is whole: ${files} files, ${lines} lines.${told}`);
    });
}

function row(record: AuditRecord): string[] {
  const { time, key_name, address, route, status, inputs, tokens, code, request_id } = record;
  const total = (record.ms as { total?: number } | undefined)?.total;
  const action = (record.change as { action?: string } | undefined)?.action;
  const what = record.event === undefined ? (route ?? '') : String(record.event);
  return [
    time,
    key_name ?? '-',
    address ?? '-',
    action === undefined ? what : `${what} (${action})`,
    `${status ?? ''}${code ? ` ${code}` : ''}`,
    String(inputs ?? ''),
    String(tokens ?? ''),
    String(total ?? ''),
    request_id ?? '',
  ];
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CommandError(`${text} is no whole number above 0`);
  return Number(text);
}
