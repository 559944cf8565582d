import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { gatewayUrl } from './gateway-request.ts';
import type { ModelView } from './model-view.ts';

/** What `npm start` says at its end: the address, the key, who answers, a call to paste, what to do next. */
export function summaryOf(config: EffectiveConfig, models: readonly ModelView[]): string {
  const url = gatewayUrl(config);
  const key = firstKey(config.keys.file);
  const keyFile = relative(config.root, config.keys.file);
  const logs = relative(config.root, config.logs.dir) || '.';
  const shell = config.gateway.tls.cert ? 'curl -k' : 'curl';
  return [
    '',
    `  URL        ${url}`,
    `  key        ${key ?? `see ${keyFile}`}${key ? `   (in ${keyFile})` : ''}`,
    ...models.map(model => `  ${model.role.padEnd(10)} ${whoAnswers(model)}`),
    '',
    'Try it:',
    `  ${shell} -H "Authorization: Bearer ${key ?? 'YOUR_API_KEY'}" -H "Content-Type: application/json" \\`,
    `    -d '{"model": "${config.models.embedding.served_name}", "input": "Hello, world!"}' ${url}/v1/embeddings`,
    '',
    `Next: npm run status, npm run logs (files in ${logs}/), npm stop. \`npx pm2 status\` shows the processes.`,
  ].join('\n');
}

/** `Qwen3-Embedding-0.6B: vllm on port 8000` or, named as what it is, the built-in stand-in. */
function whoAnswers(model: ModelView): string {
  const port = new URL(model.url).port;
  const where = model.engine === 'external' ? model.url : `port ${port}`;
  const real =
    model.engine === 'builtin' && model.modelName
      ? `answered by the built-in CPU engine with ${model.modelName}, not by Qwen`
      : `${model.engine}${model.modelName && model.modelName !== model.servedName ? ` with ${model.modelName}` : ''}`;
  return `${model.servedName}: ${real} (${where}; ${model.engineReason})`;
}

/** The first API key of the key file, or null. */
function firstKey(file: string): string | null {
  try {
    return /"(er-[0-9A-Za-z]{40})"/.exec(readFileSync(file, 'utf8'))?.[1] ?? null;
  } catch {
    return null;
  }
}
