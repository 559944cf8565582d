'use strict';
// Plain CommonJS without dependencies: read by the bootstrap on any Node, by ecosystem.config.js inside the pm2
// command, and by every process at its first line.
const { execFileSync } = require('node:child_process');
const { readFileSync } = require('node:fs');
const { homedir } = require('node:os');
const { join } = require('node:path');

/** Oldest Node that runs the gateway: undici 8 and http-proxy-middleware 4 need it. */
const oldestNode = '22.19.0';
/** Exit status of a process that cannot run as it is set up (EX_CONFIG of sysexits.h). PM2 does not restart it. */
const configExitCode = 78;

/** Whether `version` (`22.19.0`, with or without `v`) is `oldest` or newer. */
function isAtLeast(version, oldest) {
  const have = version.replace(/^v/, '').split('.').map(Number);
  const want = oldest.split('.').map(Number);
  for (const [place, number] of want.entries()) {
    if ((have[place] ?? 0) !== number) return (have[place] ?? 0) > number;
  }
  return true;
}

/** Ends the process with status 78 and one clear line when this Node is too old to run `app`. */
function refuseOldNode(app) {
  if (isAtLeast(process.versions.node, oldestNode)) return;
  console.error(
    `${app}: this is Node ${process.versions.node}, and ${oldestNode} or newer is needed. ` +
      'Run `npm start`, which brings its own Node, or `npx pm2 kill && npx pm2 start ecosystem.config.js`.',
  );
  process.exit(configExitCode);
}

/** The folder of PM2's daemon: PM2_HOME, or `~/.pm2`. */
function pm2Home(environment) {
  return environment.PM2_HOME || join(homedir(), '.pm2');
}

/** The pid of the PM2 daemon that runs now, or null. */
function runningPm2Daemon(environment) {
  const home = pm2Home(environment);
  try {
    const pid = Number(readFileSync(join(home, 'pm2.pid'), 'utf8'));
    process.kill(pid, 0);
    // After a reboot the pid may belong to somebody else.
    const isDaemon =
      process.platform !== 'linux' || isCalledDaemon(pid) || isListenedTo(join(home, 'rpc.sock'));
    return isDaemon ? pid : null;
  } catch {
    return null;
  }
}

const isCalledDaemon = pid => /God Daemon/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));

/** Whether a process has this unix socket open: the daemon inside pm2-runtime is known by its socket alone, not by its title. */
function isListenedTo(socket) {
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some(line => line.endsWith(` ${socket}`));
}

/** The version of the Node that runs process `pid`; null when this system does not tell (no /proc). */
function nodeOfProcess(pid) {
  try {
    const version = execFileSync(`/proc/${pid}/exe`, ['-v'], { encoding: 'utf8', timeout: 10_000 });
    return version.trim().replace(/^v/, '');
  } catch {
    return null;
  }
}

/** Ends the process with status 78 when the running PM2 daemon's Node, which the workers get, is too old. */
function refuseOldDaemon(environment) {
  const pid = runningPm2Daemon(environment);
  const node = pid && nodeOfProcess(pid);
  if (!node || isAtLeast(node, oldestNode)) return;
  console.error(
    `The PM2 daemon (pid ${pid}) runs on Node ${node}, its workers would too, and ${oldestNode} or newer is needed. ` +
      'Run `npx pm2 kill && npx pm2 start ecosystem.config.js` (this stops every app of that PM2).',
  );
  process.exit(configExitCode);
}

module.exports = {
  oldestNode,
  configExitCode,
  isAtLeast,
  refuseOldNode,
  refuseOldDaemon,
  pm2Home,
  runningPm2Daemon,
  nodeOfProcess,
};
