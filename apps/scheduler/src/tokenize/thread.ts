import { parentPort, workerData } from 'node:worker_threads';
import { readTokenizerFile } from './read-tokenizer-file.ts';
import type { ThreadAnswer, ThreadQuestion, ThreadTask } from './thread-messages.ts';
import { TokenEncoder } from './token-encoder.ts';

/** Entry file of the tokenizer's threads; see ThreadTask. */
function main(): void {
  if (parentPort === null) throw new Error('this must run in a worker thread');
  const port = parentPort;
  const answer = (make: () => ThreadAnswer) => {
    let message: ThreadAnswer;
    try {
      message = make();
    } catch (error) {
      message = { kind: 'failed', error: error as Error };
    }
    port.postMessage(message, message.kind === 'encoded' ? [message.encoded.ids.buffer] : []);
  };

  const task = workerData as ThreadTask;
  if (task.kind === 'read') {
    answer(() => ({ kind: 'tables', tables: readTokenizerFile(task.tokenizerFile) }));
    return;
  }
  const encoder = new TokenEncoder(task.tables, task.stop);
  port.on('message', ({ texts, findsControlTokens }: ThreadQuestion) =>
    answer(() => ({ kind: 'encoded', encoded: encoder.encode(texts, findsControlTokens) })),
  );
}

main();
