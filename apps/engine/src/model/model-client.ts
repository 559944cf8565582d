import { Worker } from 'node:worker_threads';
import { modelFacts } from './model-facts.ts';
import type { ModelMessage, ModelQuestion } from './model-thread.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';

/** The model as the rest of the engine sees it. */
export interface ModelClient {
  tokenizer: Tokenizer;
  /** One vector of length 1 for each list of 1 to `modelFacts.windowTokens` ids. One call at a time. */
  encode: (tokenLists: number[][]) => Promise<Float32Array[]>;
  stop: () => Promise<void>;
}

/** Starts the model's thread and waits until it is loaded. Afterwards `onLost` is told when it dies. */
export function startModelThread(onLost: (error: Error) => void): Promise<ModelClient> {
  // The entry file, whose main() sees that it runs in a thread.
  const thread = new Worker(process.argv[1] ?? '');
  let waiting: PromiseWithResolvers<Float32Array[]> | null = null;
  let isStopping = false;
  const loading = Promise.withResolvers<ModelClient>();

  const encode = (tokenLists: ModelQuestion) => {
    waiting = Promise.withResolvers();
    thread.postMessage(tokenLists);
    return waiting.promise;
  };
  const stop = async () => {
    isStopping = true;
    await thread.terminate();
  };
  const lose = (error: Error) => {
    if (isStopping) return;
    isStopping = true;
    loading.reject(error);
    waiting?.reject(error);
    onLost(error);
  };
  thread.on('message', (message: ModelMessage) => {
    if (message.kind === 'ready')
      loading.resolve({ tokenizer: createTokenizer(message.vocabulary), encode, stop });
    else if (message.kind === 'failed') waiting?.reject(new Error(message.message));
    else waiting?.resolve(splitVectors(message.vectors));
  });
  thread.on('error', error => lose(new Error(`the model's thread failed: ${error}`, { cause: error })));
  thread.on('exit', code => lose(new Error(`the model's thread ended with code ${code}`)));
  return loading.promise;
}

function splitVectors(vectors: Float32Array): Float32Array[] {
  const size = modelFacts.dimensions;
  return Array.from({ length: vectors.length / size }, (_, row) =>
    vectors.subarray(row * size, (row + 1) * size),
  );
}
