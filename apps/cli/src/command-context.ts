import type { Pm2 } from './pm2.ts';

/** What every command gets. */
export interface CommandContext {
  /** The project's root folder. */
  root: string;
  /** The caller's environment. */
  environment: NodeJS.ProcessEnv;
  pm2: Pm2;
  output: NodeJS.WriteStream;
}

/** An end that was foreseen: the message is for people, no stack is shown. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}
