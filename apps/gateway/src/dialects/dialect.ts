import type { Role } from '@er-gateway/shared/config/schema';
import type { Job, ResultOf } from '@er-gateway/shared/scheduler-protocol';
import type { z } from 'zod';
import type { BodyPart } from '../wire/body-writer.ts';
import type { ErrorShape } from './error-shapes.ts';

/** An answer's body: whole, or in parts that are made while they are sent (large answers never stand in memory twice). */
export type AnswerBody = string | Buffer | Iterable<BodyPart>;

/** What a dialect may need to know besides the request. */
export interface DialectContext {
  requestId: string;
  /** The model that was chosen for the request. */
  role: Role;
  limits: { inputs_per_request: number };
}

/** How an answer is sent. */
export interface AnswerForm {
  /** `application/json` when absent. */
  contentType?: string;
  headers?: Record<string, string>;
  /** The body is dense already (base64, raw bytes): compressing it costs more than it saves. */
  isDense?: boolean;
}

/**
 * One client's language: how its request becomes a job, and the job's result its answer. Adding a dialect is one file
 * and one line in table.ts.
 */
export interface Dialect<Request = unknown, AnyJob extends Job = Job> {
  /** Name for the audit trail. */
  name: string;
  /** What it is, for people who read the OpenAPI document. */
  summary: string;
  /** Whose work it is; `named` leaves it to the request's model name, the embedding model when there is none. */
  role: Role | 'named';
  /** Its requests. Fields that are in another dialect's and not in this one are refused (see number-fields.ts). */
  schema: z.ZodType<Request> & { shape: Readonly<Record<string, unknown>> };
  /** A request that is answered with 200, for the OpenAPI document. */
  example: Request;
  /** Its answers, for the OpenAPI document and the tests. */
  answer: z.ZodType;
  /** Name of the model that the request asks for; null when it leaves the choice to us. */
  modelOf: (request: Request) => string | null;
  /** Throws RequestError for what no schema can say. */
  toJob: (request: Request, context: DialectContext) => AnyJob;
  /** How many texts or pairs the job holds. */
  countInputs: (job: AnyJob) => number;
  /** Whether the request wants others to go first. */
  isBulk?: (request: Request) => boolean;
  toAnswer: (result: ResultOf<AnyJob>, request: Request, context: DialectContext) => AnswerBody;
  /** How that is sent; as JSON that is worth compressing when absent. Throws RequestError where it cannot be. */
  formOf?: (result: ResultOf<AnyJob>, request: Request, context: DialectContext) => AnswerForm;
  /** Its own errors; OpenAI's when it has none. */
  errors?: ErrorShape;
}

/** Keeps the types of a dialect while it is written, and forgets them for the table. */
export function defineDialect<Request, AnyJob extends Job>(dialect: Dialect<Request, AnyJob>): Dialect {
  return dialect as unknown as Dialect;
}
