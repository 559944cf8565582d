import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { rerankerTemplate } from '../../../supervisor/src/vllm-command.ts';

const root = join(import.meta.dirname, '..', '..', '..');

describe("the reranker's template", () => {
  const text = readFileSync(rerankerTemplate(root), 'latin1');

  it('ends in exactly three newlines: Jinja drops one, and Qwen3-Reranker needs two after </think>', () => {
    assert.ok(text.endsWith('<think>\n\n</think>\n\n\n'), JSON.stringify(text.slice(-30)));
    assert.ok(!text.includes('\r'));
  });

  it("has the model card's words around instruction, query and document", () => {
    const prompt = text.slice(text.indexOf('<|im_start|>system'));
    assert.equal(
      prompt,
      '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct ' +
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n' +
        '<Instruct>: {{ prompt.instruction }}\n<Query>: {{ prompt.query }}\n<Document>: {{ prompt.document }}' +
        '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n\n',
    );
    assert.match(text, /'Given a web search query, retrieve relevant passages that answer the query'/);
  });
});
