import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import type { Role } from '@er-gateway/shared/config/schema';
import {
  keyChangeSchema,
  keyImportSchema,
  keyRotationSchema,
  keyViewSchema,
  newKeySchema,
} from '@er-gateway/shared/keys/key-grants';
import { z } from 'zod';
import type { Dialect } from '../dialects/dialect.ts';
import { type ErrorShape, openaiErrors } from '../dialects/error-shapes.ts';
import { type DialectRoute, dialectRoutes } from '../dialects/table.ts';
import type { Exchange } from '../request/exchange.ts';
import { sendAnswer } from '../request/send-answer.ts';
import { feedbackAnswer, feedbackRequest } from './feedback.ts';

/** `GET /openapi.json`: the routes as OpenAPI 3.1, made from the schemas that check the requests. */
export function sendOpenapi(exchange: Exchange, config: EffectiveConfig): Promise<void> {
  document ??= JSON.stringify(openapiDocument(config));
  return sendAnswer(exchange, document);
}

/** Made once, when somebody asks: most workers never need it. */
let document: string | undefined;

/** The document for a configuration, which knows the models' names. */
export function openapiDocument(config: EffectiveConfig) {
  const models = (role: Role | 'named') =>
    Object.values(config.models)
      .filter(model => role === 'named' || model.role === role)
      .map(model => model.served_name);
  return {
    openapi: '3.1.0',
    info: {
      title: 'er-gateway',
      version: '1',
      description:
        'Embeddings and reranking with Qwen3-Embedding and Qwen3-Reranker, in the languages of OpenAI, Cohere, Jina, Voyage, TEI and vLLM.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { query: [] }],
    paths: {
      ...Object.fromEntries(
        dialectRoutes.map(route => [route.path, { post: operationOf(route, models) }] as const),
      ),
      '/v1/feedback': {
        post: {
          ...readOperation('What you think of an answer: its relevant documents, a rating', feedbackAnswer),
          requestBody: { required: true, content: json(schemaOf(feedbackRequest, 'input')) },
        },
      },
      '/v1/models': {
        get: readOperation('The models that are served here', z.object({ data: z.array(model) })),
      },
      '/v1/models/{model}': {
        get: {
          ...readOperation('One model', model),
          parameters: [{ name: 'model', in: 'path', required: true, schema: { enum: models('named') } }],
        },
      },
      '/info': {
        get: readOperation('The embedding model, for clients of TEI', z.object({ model_id: z.string() })),
      },
      ...keyPaths(),
      '/openapi.json': { get: readOperation('This document', z.object({ openapi: z.string() })) },
      '/health': { get: healthOperation('Whether both models can answer now') },
      '/health/ready': { get: healthOperation('That, and whether this worker takes requests') },
      '/health/live': { get: healthOperation('Whether this process turns') },
    },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        query: { type: 'apiKey', in: 'query', name: 'api_key' },
      },
    },
  };
}

/** `/admin/keys`, for keys of role admin. */
function keyPaths() {
  const id = { parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }] };
  const list = z.object({ keys: z.array(keyViewSchema) });
  const fresh = keyViewSchema.extend({ key: z.string().meta({ description: 'Shown this once.' }) });
  const imported = z.object({ imported: z.array(keyViewSchema), skipped: z.int() });
  return {
    '/admin/keys': {
      get: readOperation('All API keys (admin)', list),
      post: writeOperation('Makes a key (admin)', newKeySchema, fresh, 201),
    },
    '/admin/keys/import': {
      post: writeOperation('Takes over keys by their hashes (admin)', keyImportSchema, imported),
    },
    '/admin/keys/{id}': {
      ...id,
      get: readOperation('One key (admin)', keyViewSchema),
      patch: writeOperation('Changes a key (admin)', keyChangeSchema, keyViewSchema),
      delete: readOperation('Revokes a key (admin)', keyViewSchema),
    },
    '/admin/keys/{id}/rotate': {
      ...id,
      post: {
        ...writeOperation('Gives a key a new text (admin)', keyRotationSchema, fresh),
        requestBody: { required: false, content: json(schemaOf(keyRotationSchema, 'input')) },
      },
    },
  };
}

const model = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
});
const health = z.object({ status: z.enum(['ok', 'degraded', 'unavailable']) });

function operationOf(route: DialectRoute, models: (role: Role | 'named') => string[]) {
  const all = [route.dialect, ...(route.others ?? []).map(({ dialect }) => dialect)];
  // Some differ only in what they do with the same body.
  const dialects = all.filter(
    ({ schema }, place) => all.findIndex(other => other.schema === schema) === place,
  );
  return {
    summary: dialects.map(({ summary }) => summary).join('; '),
    requestBody: {
      required: true,
      content: {
        'application/json': {
          schema: anyOf(dialects.map(dialect => requestSchema(dialect, models(dialect.role)))),
          examples: Object.fromEntries(dialects.map(({ name, example }) => [name, { value: example }])),
        },
      },
    },
    responses: {
      200: {
        description: 'The answer',
        content: {
          ...json(anyOf(dialects.map(({ answer }) => schemaOf(answer, 'output')))),
          ...(route.path === '/v1/embeddings' && {
            'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
          }),
        },
      },
      ...errorsOf(dialects.map(({ errors = openaiErrors }) => errors)),
    },
  };
}

/** What a dialect takes, with the names of the models that it can be asked for. */
function requestSchema({ schema }: Dialect, models: string[]) {
  const made = schemaOf(schema, 'input') as { properties: Record<string, unknown> };
  if ('model' in made.properties) made.properties.model = { anyOf: [{ enum: models }, { type: 'null' }] };
  return made;
}

const readOperation = (summary: string, answer: z.ZodType) => ({
  summary,
  responses: {
    200: { description: 'The answer', content: json(schemaOf(answer, 'output')) },
    ...errorsOf([openaiErrors]),
  },
});

const writeOperation = (summary: string, body: z.ZodType, answer: z.ZodType, status: 200 | 201 = 200) => ({
  summary,
  requestBody: { required: true, content: json(schemaOf(body, 'input')) },
  responses: {
    [status]: { description: 'The answer', content: json(schemaOf(answer, 'output')) },
    ...errorsOf([openaiErrors]),
  },
});

const healthOperation = (summary: string) => ({
  summary,
  security: [],
  responses: {
    200: { description: 'Yes', content: json(schemaOf(health, 'output')) },
    503: { description: 'No, and why', content: json(schemaOf(health, 'output')) },
    ...errorsOf([openaiErrors]),
  },
});

const errorsOf = (shapes: ErrorShape[]) => ({
  default: {
    description: 'An error; docs/errors.md lists them',
    content: json(
      anyOf([...new Set([...shapes, openaiErrors])].map(({ schema }) => schemaOf(schema, 'output'))),
    ),
  },
});

const json = (schema: unknown) => ({ 'application/json': { schema } });

const anyOf = (schemas: unknown[]) => (schemas.length === 1 ? schemas[0] : { anyOf: schemas });

/** Answers may hold more than is promised, so extra members are allowed. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): unknown {
  const { $schema, ...made } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (io === 'output' && jsonSchema.additionalProperties === false)
        delete jsonSchema.additionalProperties;
    },
  });
  return made;
}
