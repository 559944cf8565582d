import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { controlSockets } from '../../../apps/cli/src/control-sockets.ts';
import { runProgram } from '../../kit/run-program.ts';
import { clearPlace, firstKey, makeStackPlace, projectRoot } from '../../kit/stack.ts';
import { waitFor } from '../../kit/wait-for.ts';
import type { Bench } from '../bench.ts';
import { pssMb } from '../measure/process-table.ts';
import { median } from '../measure/statistics.ts';
import type { Scenario } from '../scenario.ts';
import { benchSettings } from '../systems/bench-stack.ts';
import { WorkerAnswers } from '../systems/worker-answers.ts';

const workers = 64;
const startTimeoutMs = 120_000;
/** Until the engines have loaded and start-up garbage is gone. */
const idleMs = 15_000;

interface StartSample {
  /** From the command's start to the answers of all workers on the gateway's port. */
  allAnswerSeconds: number;
  /** To the return of the command. */
  commandSeconds: number;
  /** Of each idle worker. */
  workerPssMb: number[];
}

/** How long an operator waits, and what 64 workers cost while they do nothing. */
export const startup: Scenario = {
  name: 'startup',
  title:
    'built and warm, no PM2 daemon: from `pm2 start ecosystem.config.js` until each of 64 workers has answered',
  run: async bench => {
    execFileSync(process.execPath, ['apps/cli/build.mjs'], { cwd: projectRoot, stdio: 'inherit' });
    // Warm: node_modules/.cache holds the compiled code, the disk cache the files.
    if (!bench.options.isQuick) await startOnce(bench);
    const samples: StartSample[] = [];
    for (let round = 0; round < (bench.options.pairs ?? 3); round++) {
      const sample = await startOnce(bench);
      samples.push(sample);
      bench.log(
        `all ${workers} workers answer after ${sample.allAnswerSeconds.toFixed(1)} s, ` +
          `PSS ${median(sample.workerPssMb).toFixed(1)} MB each`,
      );
    }
    const pss = samples.flatMap(({ workerPssMb }) => workerPssMb);
    return {
      figures: [
        {
          name: `all ${workers} workers answer`,
          value: median(samples.map(({ allAnswerSeconds }) => allAnswerSeconds)),
          unit: 's',
          target: { atMost: 10 },
        },
        { name: 'PSS of an idle worker, median', value: median(pss), unit: 'MB', target: { atMost: 50 } },
        { name: 'PSS of an idle worker, largest', value: Math.max(...pss), unit: 'MB' },
      ],
      samples: { starts: samples },
      notes: [`Engine behind it: ${bench.options.engine}; its own start is part of the load.`],
    };
  },
};

async function startOnce(bench: Bench): Promise<StartSample> {
  const { engine, isQuick } = bench.options;
  const settings =
    engine === 'builtin'
      ? { ER_ENGINE: 'builtin' }
      : benchSettings({
          embedding: (await bench.fast('embedding')).url,
          reranker: (await bench.fast('reranker')).url,
        });
  const env = { ...settings, ER_LIMITS_REQUESTS_PER_MINUTE: '1000000' };
  const place = await makeStackPlace({ workers, env });
  const url = `http://127.0.0.1:${place.ports.gateway}`;
  const { ER_KEYS_FILE: keysFile = '', ER_RUN_DIR: runDir = '' } = place.env;
  try {
    const begin = performance.now();
    const seconds = () => (performance.now() - begin) / 1000;
    let commandSeconds = Number.NaN;
    const started = runProgram(join(projectRoot, 'node_modules/.bin/pm2'), ['start', 'ecosystem.config.js'], {
      cwd: projectRoot,
      env: { ...place.env, PM2_DISABLE_VERSION_CHECK: '1', PM2_DISCRETE_MODE: 'true' },
    }).then(result => {
      commandSeconds = seconds();
      return result;
    });
    const gateways = () => controlSockets(runDir).filter(({ app }) => app === 'gateway');
    const answers = new WorkerAnswers();
    await waitFor(
      `answers of all ${workers} workers`,
      async () => {
        // To ask earlier would take time from those that start.
        if (gateways().length < workers || !existsSync(keysFile)) return false;
        await answers.look(url, firstKey(keysFile), gateways());
        return answers.count >= workers;
      },
      { timeoutMs: startTimeoutMs, intervalMs: 20 },
    );
    const allAnswerSeconds = seconds();
    const { code, output } = await started;
    if (code !== 0) throw new Error(`pm2 start ended with ${code}:\n${output}`);
    await delay(isQuick ? 2000 : idleMs);
    return { allAnswerSeconds, commandSeconds, workerPssMb: gateways().map(({ pid }) => pssMb(pid)) };
  } finally {
    const problems = await clearPlace(place);
    if (problems.length > 0) bench.log(problems.join('\n'));
  }
}
