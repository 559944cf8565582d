import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { z } from 'zod';
import { type ItemCheck, listOf } from '../dialects/lists.ts';
import type { Exchange } from '../request/exchange.ts';
import { parseRequest } from '../request/handle-request.ts';
import { asObject } from '../request/parse-body.ts';
import { readJsonBody } from '../request/read-body.ts';
import { sendAnswer } from '../request/send-answer.ts';
import type { SchedulerClient } from '../scheduler-client.ts';

/** Longest list of documents that feedback can speak of, whatever the configuration says. */
const mostDocuments = 100_000;

const isIndex: ItemCheck = item =>
  Number.isInteger(item) && (item as number) >= 0 && (item as number) < mostDocuments
    ? null
    : 'must be the index of a document: an integer, and indexes begin with 0';
const indexes = (name: string) =>
  listOf<number>(name, {
    what: 'a list of indexes of documents',
    check: isIndex,
    items: { type: 'integer', minimum: 0, maximum: mostDocuments - 1 },
    max: mostDocuments,
  })
    .refine(
      list => list.length !== 0,
      `${name} must not be empty; when no document was relevant, send a rating of 1`,
    )
    .meta({ minItems: 1 });

/** What callers say of an answer. Nothing else is taken: no texts. */
export const feedbackRequest = z
  .strictObject({
    request_id: z
      .string('request_id must be the text in the x-request-id header of the answer')
      .min(1, 'request_id is empty')
      .max(128, 'request_id is too long')
      .meta({ description: 'The `x-request-id` header of the answer (`id` in rerank answers).' }),
    relevant: indexes('relevant').nullish().meta({
      description: 'Rerank: indexes in the request of the documents that were relevant.',
    }),
    rating: z
      .int('rating must be an integer from 1 to 5')
      .min(1, 'rating must be from 1 to 5')
      .max(5, 'rating must be from 1 to 5')
      .nullish()
      .meta({ description: 'How good the answer was: 1 (bad) to 5 (good).' }),
    ranking: indexes('ranking').nullish().meta({
      description:
        'Rerank: indexes of all documents, the best first, as they were answered. Only looked at when the request is not remembered.',
    }),
  })
  .superRefine(({ relevant, rating, ranking }, context) => {
    if (relevant == null && rating == null)
      context.addIssue({ code: 'custom', message: 'send relevant, rating, or both', path: [] });
    const isWhole = (given: number[]) =>
      new Set(given).size === given.length && given.every(place => place < given.length);
    if (ranking && !isWhole(ranking))
      context.addIssue({
        code: 'custom',
        message: 'ranking must hold the index of each document once',
        path: ['ranking'],
      });
  });

/** What came of it. */
export const feedbackAnswer = z.object({
  request_id: z.string(),
  model: z.string(),
  /** False when this request had feedback of this kind before: each counts once. */
  counted: z.boolean(),
  reciprocal_rank: z.number().nullable(),
  ndcg_at_10: z.number().nullable(),
  precision_at_1: z.number().nullable(),
  rating: z.int().nullable(),
});

/** No request has had more documents than one may have. */
function refuseLong(lists: Record<string, readonly number[] | null>, most: number): void {
  for (const [name, list] of Object.entries(lists)) {
    if ((list?.length ?? 0) > most)
      throw new RequestError(
        'invalid_request',
        `${name} has ${list?.length} indexes; a request has at most ${most} documents (limits.inputs_per_request).`,
        { param: name },
      );
  }
}

/** `POST /v1/feedback`: what a caller thinks of an answer that its key got. */
export async function takeFeedback(
  exchange: Exchange,
  { config, scheduler }: { config: EffectiveConfig; scheduler: SchedulerClient },
): Promise<void> {
  exchange.timings.enter('parse');
  const body = asObject(await readJsonBody(exchange, config.gateway.max_body_bytes));
  const request = parseRequest(feedbackRequest, body) as z.infer<typeof feedbackRequest>;
  const { request_id, relevant = null, rating = null, ranking = null } = request;
  refuseLong({ relevant, ranking }, config.limits.inputs_per_request);
  exchange.timings.end();
  exchange.timings.enter('upstream');
  const { model, quality, isCounted } = await scheduler.takeFeedback(
    { requestId: request_id, relevant, rating, ranking },
    exchange,
  );
  exchange.timings.end();
  exchange.model = config.models[model].served_name;
  const answer: z.infer<typeof feedbackAnswer> = {
    request_id,
    model: exchange.model,
    counted: isCounted,
    reciprocal_rank: quality?.reciprocalRank ?? null,
    ndcg_at_10: quality?.ndcgAt10 ?? null,
    precision_at_1: quality?.precisionAt1 ?? null,
    rating,
  };
  await sendAnswer(exchange, JSON.stringify(answer));
}
