import { hash } from 'node:crypto';

/**
 * Each line of the audit trail ends with the SHA-256 of the chain value before it and of its own text: who changes, adds or
 * takes a line away breaks the chain there. It goes on from file to file of one lane (one writing process at a time).
 */
const chainPattern = /^(?<text>\{.*),"chain":"(?<chain>[\w-]{43})"\}$/s;

/** Chain value before the first line of a lane. */
export const genesis = '';

/** A record as its line, and the chain value that the next line builds on. */
export function chainedLine(previous: string, record: object): { line: string; chain: string } {
  const text = JSON.stringify(record).slice(0, -1);
  const chain = hash('sha256', previous + text, 'base64url');
  return { line: `${text},"chain":"${chain}"}\n`, chain };
}

/** The chain value that a line claims, and whether it follows from `previous`; null for what is no line of ours. */
export function checkLine(previous: string, line: string): { chain: string; follows: boolean } | null {
  const { text, chain } = chainPattern.exec(line)?.groups ?? {};
  if (text === undefined || chain === undefined) return null;
  return { chain, follows: hash('sha256', previous + text, 'base64url') === chain };
}
