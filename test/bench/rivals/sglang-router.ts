import { join } from 'node:path';
import { freePorts } from '../../kit/free-port.ts';
import { descendantsOf } from '../measure/process-table.ts';
import { startChild } from '../systems/child.ts';
import { installPython, venvOf } from './python-venv.ts';
import type { Rival } from './rival.ts';

const startTimeoutMs = 120_000;

/** SGLang's router in front of one worker. */
export const sglangRouter: Rival = {
  name: 'sglang-router',
  install: () => installPython('sglang-router', 'sglang-router'),
  start: async target => {
    const [port, metricsPort] = (await freePorts(2)) as [number, number];
    const url = `http://127.0.0.1:${port}`;
    const { pid, stop } = await startChild({
      command: [
        ...[join(venvOf('sglang-router'), 'bin/python'), '-m', 'sglang_router.launch_router'],
        ...['--worker-urls', target, '--host', '127.0.0.1', '--port', String(port)],
        ...['--policy', 'round_robin', '--prometheus-port', String(metricsPort), '--log-level', 'warn'],
      ],
      readyUrl: `${url}/health`,
      timeoutMs: startTimeoutMs,
    });
    return { url, pids: [pid, ...descendantsOf(pid)], stop };
  },
};
