import { runPaths } from '@er-gateway/shared/config/run-dir';
import type { Logger } from '@er-gateway/shared/logger';
import {
  askControl,
  type ControlSocket,
  listControlSockets,
  listLastCounts,
  readLastCounts,
  removeFile,
} from './control-sockets.ts';
import { CounterLedger, type MetricSnapshot, parseMetrics, snapshotOf } from './counter-ledger.ts';
import { readLedger, writeLedger } from './ledger-file.ts';

/** A process has this long to answer, in milliseconds. */
const answerTimeoutMs = 1000;
/** An observation serves everybody who asks within this time, in milliseconds. */
const maxAgeMs = 1000;

/** One process as it was seen. */
export interface ObservedProcess {
  app: string;
  pid: number;
  /** When it began to serve its status, Unix time in milliseconds. */
  since: number;
  /** False when it did not answer in time: blocked, stopped, or only just starting. */
  answers: boolean;
  /** What it says of itself; null when it did not answer. */
  status: unknown;
}

/** All processes at one moment. */
export interface Observation {
  /** Unix time in milliseconds. */
  at: number;
  processes: ObservedProcess[];
  /** The merged metrics, as values and in Prometheus' text format. */
  metrics: MetricSnapshot[];
  exposition: string;
}

export interface ObserverOptions {
  runDir: string;
  logger: Logger;
  /** Told of each observation once. */
  onObservation: (observation: Observation) => void;
}

/**
 * Looks at all processes of the host. The function that it returns asks each for its status and metrics, at most once a second however
 * many ask. What was counted is on disk before it is shown, so that it cannot go back when the monitor is killed.
 */
export function createObserver({
  runDir,
  logger,
  onObservation,
}: ObserverOptions): () => Promise<Observation> {
  const file = runPaths.monitorCounters(runDir);
  const ledger = new CounterLedger(readLedger(file));
  let latest: Promise<Observation> | null = null;
  let expiresAt = Number.POSITIVE_INFINITY;
  let canWrite = true;

  const keepCounts = async () => {
    try {
      await writeLedger(file, ledger.state());
      canWrite = true;
      return true;
    } catch (error) {
      if (canWrite) logger.warn('counters cannot be kept for the next monitor', { error });
      canWrite = false;
      return false;
    }
  };

  const lookNow = async (): Promise<Observation> => {
    const { processes, metricsByKey } = await askAll(runDir);
    // After the sockets: a process leaves its counts before its socket is gone.
    const { left, counts } = await readEnded(runDir);
    const merged = await ledger.record(metricsByKey, counts);
    if (await keepCounts()) await Promise.all(left.map(removeFile));
    const [metrics, exposition] = await Promise.all([snapshotOf(merged), merged.metrics()]);
    const observation = { at: Date.now(), processes, metrics, exposition };
    onObservation(observation);
    return observation;
  };

  return () => {
    if (latest && performance.now() < expiresAt) return latest;
    expiresAt = Number.POSITIVE_INFINITY;
    latest = lookNow().finally(() => {
      expiresAt = performance.now() + maxAgeMs;
    });
    return latest;
  };
}

async function askAll(runDir: string) {
  const signal = AbortSignal.timeout(answerTimeoutMs);
  const sockets = await listControlSockets(runDir);
  const found = (await Promise.all(sockets.map(socket => askProcess(socket, signal)))).filter(
    process => process !== null,
  );
  return {
    processes: found.map(({ process }) => process),
    metricsByKey: new Map(found.map(({ key, metrics }) => [key, metrics])),
  };
}

/** What processes that ended by themselves have left. */
async function readEnded(runDir: string) {
  const left = await listLastCounts(runDir);
  const counts = new Map<string, MetricSnapshot[]>();
  for (const one of left) {
    const metrics = parseMetrics(await readLastCounts(one));
    if (metrics) counts.set(one.key, metrics);
  }
  return { left, counts };
}

/** The process behind a socket; null, and the socket removed, when it is gone. */
async function askProcess(socket: ControlSocket, signal: AbortSignal) {
  const [metricsAnswer, statusAnswer] = await Promise.all([
    askControl(socket, '/metrics', signal),
    askControl(socket, '/status', signal),
  ]);
  if (metricsAnswer.kind === 'gone') {
    await removeFile(socket);
    return null;
  }
  const metrics = metricsAnswer.kind === 'answer' ? parseMetrics(metricsAnswer.value) : null;
  const status = statusAnswer.kind === 'answer' ? statusAnswer.value : null;
  const { key, app, pid, since } = socket;
  const process: ObservedProcess = { app, pid, since, answers: metrics !== null, status };
  return { key, metrics, process };
}
