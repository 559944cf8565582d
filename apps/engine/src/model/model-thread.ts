import { parentPort } from 'node:worker_threads';
import { SentenceEncoder } from './sentence-encoder.ts';
import type { Vocabulary } from './tokenizer.ts';

/** What the thread is asked: the vectors of these lists of token ids. One question at a time. */
export type ModelQuestion = number[][];

/** What the thread says: once that it is ready, then one answer to each question. */
export type ModelMessage =
  | { kind: 'ready'; vocabulary: Vocabulary }
  | { kind: 'vectors'; vectors: Float32Array }
  | { kind: 'failed'; message: string };

/** The model's own thread, so that the one with the HTTP server always answers. An error while loading ends it. */
export async function runModelThread(): Promise<void> {
  if (parentPort === null) throw new Error('this must run in a worker thread');
  const port = parentPort;
  const say = (message: ModelMessage) => port.postMessage(message);
  const encoder = await SentenceEncoder.load();
  port.on('message', async (question: ModelQuestion) => {
    try {
      say({ kind: 'vectors', vectors: await encoder.encode(question) });
    } catch (error) {
      say({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  });
  say({ kind: 'ready', vocabulary: encoder.vocabulary });
}
