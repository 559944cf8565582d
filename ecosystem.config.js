// What PM2 runs: `pm2 start ecosystem.config.js` (`npm start` runs the same and waits until everything answers).
// The apps are described in apps/cli/src/pm2-apps.ts, their settings come from er.config.yaml and the environment.
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { refuseOldDaemon, refuseOldNode } = require('./apps/cli/node-version.cjs');

refuseOldNode('pm2');
refuseOldDaemon(process.env);
const built = join(__dirname, 'dist', 'ecosystem.cjs');
if (!existsSync(built)) {
  console.error('er-gateway is not built. Run: npm install && npm run build');
  process.exit(78);
}

module.exports = { apps: require(built).ecosystemApps(__dirname) };
