import { checkLine, genesis } from './audit-chain.ts';
import { type AuditHead, readHeads } from './audit-heads.ts';
import { type AuditFileName, keeperLane } from './audit-names.ts';
import { auditLines, listAuditFiles, readLane } from './read-audit.ts';

/** What a look through the whole trail has found. */
export interface AuditReport {
  files: number;
  lines: number;
  /** Requests whose lines could not be written at the time: the trail itself says so. */
  lost: number;
  /** Each place where the trail is not as it was written, in one line; none when it is whole. */
  problems: string[];
}

/** The last chain value of each file that was deleted by age or size, by `lane/number`; null of one that nobody could read. */
type Pruned = Map<string, string | null>;

/**
 * Looks through the audit trail: every line against the chain, every file against the one before, the end of each lane
 * against its written-down head, and files that are gone against what the keeper says it deleted. It may be written to, and
 * tidied, meanwhile.
 */
export async function verifyAudit(folder: string): Promise<AuditReport> {
  const report: AuditReport = { files: 0, lines: 0, lost: 0, problems: [] };
  // Before the files: they only grow, so a living lane is never behind its head.
  const heads = readHeads(folder);
  const files = listAuditFiles(folder);
  if (heads === null && files.length > 0)
    report.problems.push('heads: the file is missing; lines missing at the ends cannot be found');
  const headOf = new Map((heads ?? []).map(head => [head.lane, head]));
  const lanes = [...new Set([...headOf.keys(), ...files.map(({ lane }) => lane)])].sort();
  let pruned: Pruned = new Map();
  const verify = async (lane: string): Promise<AuditReport> => {
    const ofLane = await readLane(folder, lane, async own => {
      const part: AuditReport = { files: 0, lines: 0, lost: 0, problems: [] };
      await verifyLane({ folder, lane, files: own, head: headOf.get(lane), pruned, report: part });
      return part;
    });
    if (lane === keeperLane || ofLane.problems.length === 0) return ofLane;
    // The keeper may have deleted something since its lane was read.
    const known = pruned.size;
    await verifyKeeper();
    return pruned.size === known ? ofLane : verify(lane);
  };
  const verifyKeeper = () => {
    pruned = new Map();
    return verify(keeperLane);
  };
  const parts = [await verifyKeeper()];
  for (const lane of lanes) if (lane !== keeperLane) parts.push(await verify(lane));
  for (const { files: fileCount, lines, lost, problems } of parts) {
    report.files += fileCount;
    report.lines += lines;
    report.lost += lost;
    report.problems.push(...problems);
  }
  return report;
}

interface LaneParts {
  folder: string;
  lane: string;
  files: AuditFileName[];
  head: AuditHead | undefined;
  pruned: Pruned;
  report: AuditReport;
}

async function verifyLane({ folder, lane, files, head, pruned, report }: LaneParts): Promise<void> {
  let chain: string | null = genesis;
  let number = 0;
  for (const file of files) {
    report.files++;
    const walk = new FileWalk(file.name, report, pruned);
    let isFirst = true;
    try {
      for await (const line of auditLines(folder, file)) {
        if (isFirst) {
          const next = file.number ?? numberOf(line) ?? number + 1;
          chain = passGap(lane, number, next, chain, { pruned, report });
          walk.begin(chain, head?.file === next ? head : undefined);
          number = next;
        }
        isFirst = false;
        walk.take(line);
      }
    } catch (error) {
      report.problems.push(`${file.name}: cannot be read (${(error as Error).message})`);
    }
    chain = walk.end();
  }
  if (head && number < head.file) passGap(lane, number, head.file + 1, chain, { pruned, report });
}

/** Steps over files that are not there; reports those that nobody says were deleted. Returns the chain value after them; null when nobody knows. */
function passGap(
  lane: string,
  last: number,
  next: number,
  chain: string | null,
  { pruned, report }: { pruned: Pruned; report: AuditReport },
): string | null {
  for (let missing = last + 1; missing < next; missing++) {
    const end = pruned.get(`${lane}/${missing}`);
    if (end === undefined) report.problems.push(`${lane}: file ${missing} is missing`);
    else chain = end;
  }
  return chain;
}

/** One file, line by line. */
class FileWalk {
  readonly #name: string;
  readonly #report: AuditReport;
  readonly #pruned: Pruned;
  #chain: string | null = genesis;
  #head: AuditHead | undefined;
  #lines = 0;
  #bytes = 0;
  #isHeadSeen = true;

  constructor(name: string, report: AuditReport, pruned: Pruned) {
    this.#name = name;
    this.#report = report;
    this.#pruned = pruned;
  }

  begin(chain: string | null, head: AuditHead | undefined): void {
    this.#chain = chain;
    this.#head = head;
    this.#isHeadSeen = head === undefined;
  }

  take(line: string): void {
    this.#lines++;
    this.#report.lines++;
    this.#bytes += Buffer.byteLength(line) + 1;
    const checked = checkLine(this.#chain ?? genesis, line);
    if (!checked?.follows && !(checked && this.#chain === null)) {
      this.#problem(`line ${this.#lines} is changed, or one before it is missing`);
    } else this.#note(line);
    // Goes on with what the line claims, so that each later place is found too.
    if (checked) this.#chain = checked.chain;
    if (this.#head?.chain === this.#chain && this.#head.bytes === this.#bytes) this.#isHeadSeen = true;
  }

  /** The chain value after the last line. */
  end(): string | null {
    if (!this.#isHeadSeen) this.#problem(`lines are missing: it was written to byte ${this.#head?.bytes}`);
    return this.#chain;
  }

  #note(line: string): void {
    if (!line.includes('"event":')) return;
    const { event, lane, file, last, lines } = JSON.parse(line) as Record<string, unknown>;
    if (event === 'lost') this.#report.lost += Number(lines);
    if (event === 'pruned' && this.#name.startsWith(`${keeperLane}.`))
      this.#pruned.set(`${lane}/${file}`, last === null ? null : String(last));
  }

  #problem(what: string): void {
    this.#report.problems.push(`${this.#name}: ${what}`);
  }
}

/** The number that a file's first line gives it; null when it cannot be read. */
function numberOf(line: string): number | null {
  const number = /"file":(\d+)/.exec(line)?.[1];
  return number === undefined ? null : Number(number);
}
