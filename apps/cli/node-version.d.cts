/** Oldest Node that runs the gateway. */
export const oldestNode: string;
export const configExitCode: 78;
export function isAtLeast(version: string, oldest: string): boolean;
export function refuseOldNode(app: string): void;
export function refuseOldDaemon(environment: NodeJS.ProcessEnv): void;
/** The folder of PM2's daemon: PM2_HOME, or `~/.pm2`. */
export function pm2Home(environment: NodeJS.ProcessEnv): string;
/** The pid of the PM2 daemon that runs now, or null. */
export function runningPm2Daemon(environment: NodeJS.ProcessEnv): number | null;
/** The version of the Node that runs process `pid`; null when this system does not tell. */
export function nodeOfProcess(pid: number): string | null;
