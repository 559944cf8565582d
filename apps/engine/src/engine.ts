import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { EngineOptions } from './command-line.ts';
import { createEngineServer } from './http/engine-server.ts';
import { Embedder } from './model/embedder.ts';
import { startModelThread } from './model/model-client.ts';
import { modelFacts } from './model/model-facts.ts';
import { createRoutes } from './routes/routes.ts';

export interface RunningEngine {
  port: number;
  modelName: string;
  /** Stops listening, finishes what is in flight, ends the model's thread. */
  stop: () => Promise<void>;
}

/**
 * Loads the model, then listens: as with vLLM a refused connection means "loading". `onModelLost` is told when the
 * model's thread dies later; there is no going on without it.
 */
export async function startEngine(
  options: EngineOptions,
  onModelLost: (error: Error) => void,
): Promise<RunningEngine> {
  const model = await startModelThread(onModelLost);
  const embedder = new Embedder(model);
  const routes = createRoutes({ ...options, startedAt: Date.now(), embedder });
  const { server, drain } = createEngineServer(routes);
  server.listen(options.port, options.host);
  try {
    await once(server, 'listening');
  } catch (error) {
    await model.stop();
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'Address already in use' : (code ?? String(error));
    throw new Error(`cannot listen on ${options.host}:${options.port}: ${reason}`, { cause: error });
  }
  return {
    port: (server.address() as AddressInfo).port,
    modelName: modelFacts.name,
    stop: async () => {
      await drain();
      await model.stop();
    },
  };
}
