import type { Job } from '@er-gateway/shared/scheduler-protocol';

/** Bytes of UTF-8 that a token of Qwen3 stands for in common prose, a little on the low side. */
const bytesPerToken = 3.5;
/** What an input and a pair take beside their texts: the last token; the reranker's template with its instruction. */
const inputTokens = 1;
const pairTokens = 70;

/** About how many tokens a job will turn out to have, before it is tokenized. */
export function estimateTokens(job: Job): number {
  switch (job.kind) {
    case 'embed':
      return sum(job.inputs.map(input => tokensOf(input) + inputTokens));
    case 'score': {
      const queries = job.queries.map(tokensOf);
      const ofQuery = (index: number) => queries[queries.length === 1 ? 0 : index] ?? 0;
      return sum(job.documents.map((text, index) => tokensOf(text) + ofQuery(index) + pairTokens));
    }
    case 'tokenize':
      return tokensOf(job.prompt);
    case 'detokenize':
      return job.tokens.length;
  }
}

const tokensOf = (input: string | readonly number[]) =>
  typeof input === 'string' ? Math.ceil(Buffer.byteLength(input) / bytesPerToken) : input.length;
const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
