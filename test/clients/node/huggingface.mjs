import assert from 'node:assert/strict';
import { InferenceClient } from '@huggingface/inference';
import { apiKey, assertSameVectors, query, texts, url, vectorsOf } from './reference.mjs';

const client = new InferenceClient(apiKey, { endpointUrl: `${url}/embed` });
assertSameVectors(await client.featureExtraction({ inputs: texts }), await vectorsOf(texts));
assertSameVectors(
  await client.featureExtraction({ inputs: [query], prompt_name: 'query', normalize: true, truncate: true }),
  await vectorsOf([query], { input_type: 'query' }),
);
await assert.rejects(
  client.featureExtraction({ inputs: [''] }),
  error =>
    error.httpResponse?.status === 400 &&
    /inputs\[0\] is empty/.test(JSON.stringify(error.httpResponse.body)),
);
