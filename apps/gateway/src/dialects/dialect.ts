import type { Role } from '@er-gateway/shared/config/schema';
import type { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Job, ResultOf } from '@er-gateway/shared/scheduler-protocol';
import type { z } from 'zod';

/** An answer's body: whole, or in parts that are made while they are sent (large answers never stand in memory twice). */
export type AnswerBody = string | Buffer | Iterable<Buffer>;

/** What a dialect may need to know besides the request. */
export interface DialectContext {
  requestId: string;
  /** The model that was chosen for the request. */
  role: Role;
  limits: { inputs_per_request: number };
}

/**
 * One client's language: how its request becomes a job, and the job's result its answer. Adding a dialect is one file
 * and one line in table.ts.
 */
export interface Dialect<Request = unknown, AnyJob extends Job = Job> {
  /** Name for the audit trail. */
  name: string;
  /** Whose work it is; `named` leaves it to the request's model name, the embedding model when there is none. */
  role: Role | 'named';
  schema: z.ZodType<Request>;
  /** Name of the model that the request asks for; null when it leaves the choice to us. */
  modelOf: (request: Request) => string | null;
  /** Throws RequestError for what no schema can say. */
  toJob: (request: Request, context: DialectContext) => AnyJob;
  /** How many texts or pairs the job holds. */
  countInputs: (job: AnyJob) => number;
  toAnswer: (result: ResultOf<AnyJob>, request: Request, context: DialectContext) => AnswerBody;
  /** Its own error body; OpenAI's when it has none. */
  toErrorBody?: (error: RequestError, requestId: string) => unknown;
}

/** Keeps the types of a dialect while it is written, and forgets them for the table. */
export function defineDialect<Request, AnyJob extends Job>(dialect: Dialect<Request, AnyJob>): Dialect {
  return dialect as unknown as Dialect;
}
