/** What the reranker is told to judge by unless a caller says otherwise: the model card's instruction. */
const instruction = 'Given a web search query, retrieve relevant passages that answer the query';

/** Qwen's prompt for one pair, written out: what templates/qwen3_reranker.jinja must come to. Ends in two line breaks. */
export const rerankerPrompt = (query: string, document: string) =>
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ' +
  `Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: ${instruction}\n` +
  `<Query>: ${query}\n<Document>: ${document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`;
