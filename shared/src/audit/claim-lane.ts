import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { lanesPerWorker, workerLane } from './audit-names.ts';

/** A lane that is this process's alone until it ends or gives it back. */
export interface ClaimedLane {
  lane: string;
  release: () => void;
}

/**
 * The first free lane of a worker: during a reload its predecessor still writes to another one. Throws when all are taken.
 */
export async function claimWorkerLane(folder: string, instance: number): Promise<ClaimedLane> {
  for (let index = 0; index < lanesPerWorker; index++) {
    const lane = workerLane(instance, index);
    const release = await claim(folder, lane);
    if (release) return { lane, release };
  }
  throw new Error(`${lanesPerWorker} processes of worker ${instance} write to the audit trail already`);
}

/** Runs `work` while nobody else can write to the lane; does nothing when somebody does. */
export async function whileUnclaimed(folder: string, lane: string, work: () => Promise<void>): Promise<void> {
  const release = await claim(folder, lane);
  if (!release) return;
  try {
    await work();
  } finally {
    release();
  }
}

/**
 * A name in Linux's abstract socket space: taken by one process at a time, and free the moment it is gone, however it
 * died. Null when it is taken.
 */
function claim(folder: string, lane: string): Promise<(() => void) | null> {
  const name = createHash('sha256').update(`${folder}\0${lane}`).digest('hex').slice(0, 40);
  return new Promise((resolve, reject) => {
    const server: Server = createServer(socket => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    // exclusive: in cluster mode the PM2 daemon would else hold it.
    server.listen({ path: `\0er-audit-${name}`, exclusive: true }, () => {
      server.unref();
      resolve(() => server.close());
    });
  });
}
