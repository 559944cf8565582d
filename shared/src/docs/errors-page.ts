import { errorCatalogue } from '../errors/catalogue.ts';

/** The text of docs/errors.md, made of the catalogue. */
export function errorsPage(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { status, type, about }]) => `| ${status} | \`${code}\` | \`${type}\` | ${about} |`,
  );
  return `# Errors

Generated from shared/src/errors/catalogue.ts by \`npx node shared/src/docs/write-docs.ts\`; do not edit.

\`\`\`json
{"error": {"message": "what was wrong, the limit, the fix", "type": "…", "param": "the field, or null", "code": "…"}}
\`\`\`

On \`/v1/embeddings\`, \`/v1/rerank\` and \`/rerank\` the message stands beside \`error\` too, as \`detail\` (Voyage, Jina), and on the last two as \`message\`
(Cohere 1). Routes of Cohere's and of Text Embeddings Inference's kind (\`/v1/embed\`, \`/v2/embed\`, \`/v2/rerank\`, \`/embed\`, \`/info\`, \`/rerank\` with
\`texts\`) answer in the form that their clients read; status and headers are the same.

| status | code | type | meaning |
|---|---|---|---|
${rows.join('\n')}

Headers: \`x-request-id\` names the request in the logs and the audit trail. \`Retry-After\` (seconds) and \`retry-after-ms\` come with 429 and
503. \`x-ratelimit-limit-requests\`, \`x-ratelimit-remaining-requests\` and \`x-ratelimit-reset-requests\` come with every answer to a known key.

Safe to repeat: 429, 502, 503 and 504. Embedding and scoring change nothing, so a repeated request does no harm. 500 comes with \`x-should-retry: false\`,
which OpenAI's clients obey.
`;
}
