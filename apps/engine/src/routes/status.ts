import { jsonAnswer, type Route } from '../http/route.ts';
import { modelFacts } from '../model/model-facts.ts';
import type { EngineContext } from './engine-context.ts';

/** The routes that say how the engine is and what it is. */
export function createStatusRoutes(context: EngineContext): Route[] {
  return [
    { method: 'GET', paths: ['/health'], answer: () => ({ contentType: 'text/plain', body: '' }) },
    // The surface is that of vLLM 0.32.0; the suffix says that it is not vLLM.
    { method: 'GET', paths: ['/version'], answer: () => jsonAnswer({ version: '0.32.0+builtin' }) },
    { method: 'GET', paths: ['/load'], answer: ({ inFlight }) => jsonAnswer({ server_load: inFlight }) },
    { method: 'GET', paths: ['/v1/models'], answer: () => jsonAnswer(describeModels(context)) },
    {
      method: 'GET',
      paths: ['/metrics'],
      answer: () => ({
        contentType: 'text/plain; version=0.0.4; charset=utf-8',
        body: renderMetrics(context),
      }),
    },
  ];
}

/** vLLM's list of models. `engine` and `root` name the model that really answers. */
function describeModels({ servedName, startedAt }: EngineContext) {
  const model = {
    id: servedName,
    object: 'model',
    created: Math.floor(startedAt / 1000),
    owned_by: 'er-gateway',
    root: modelFacts.name,
    parent: null,
    max_model_len: modelFacts.maxModelLen,
    permission: [],
    engine: modelFacts.name,
  };
  return { object: 'list', data: [model] };
}

/** The few of vLLM's metrics that mean something here, in Prometheus text. */
function renderMetrics({ servedName, embedder }: EngineContext): string {
  const { running, waiting, promptTokens, finished } = embedder.counts();
  const labels = `engine="0",model_name="${servedName.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
  const metric = (name: string, type: string, help: string, value: number) =>
    `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}{${labels}} ${value}\n`;
  return [
    metric('vllm:num_requests_running', 'gauge', 'Inputs that the model computes now.', running),
    metric('vllm:num_requests_waiting', 'gauge', 'Inputs that wait for the model.', waiting),
    metric('vllm:prompt_tokens_total', 'counter', 'Tokens of the inputs that were answered.', promptTokens),
    metric('vllm:request_success_total', 'counter', 'Inputs that were answered.', finished),
  ].join('');
}
