import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'undici';
import { waitFor } from './wait-for.ts';

/** A request of a load that got no answer, or not a 200. */
export interface LoadFailure {
  connection: number;
  reason: string;
}

/** What a load has seen so far. */
export interface LoadReport {
  answered: number;
  failures: LoadFailure[];
}

/** Requests that go on and on. */
export interface Load extends LoadReport {
  /** Resolves when `count` more requests have been answered with 200. */
  answersMore(count: number): Promise<void>;
  /** Ends it when what is under way is answered. */
  stop(): Promise<LoadReport>;
}

/** What is sent, and by how many. */
export interface LoadOptions {
  url: string;
  key: string;
  /** Keep-alive connections, each with one request at a time. */
  connections: number;
  path?: string;
  /** Ends it too, as that of a test, which aborts however the test ends. */
  until?: AbortSignal;
  /** Makes the body of a request from its id, sent as JSON with POST; a GET without. */
  body?: (id: string) => unknown;
}

/** A connection that failed opens a new one after this time, in milliseconds. */
const pauseMs = 20;

/** The `x-request-id` of a connection's requests begins with this. */
export const requestIdOf = (connection: number) => `load-${connection}-`;

/** Starts a load. Nothing is sent twice: a request that gets no answer counts as failed. */
export function startLoad({
  url,
  key,
  connections,
  path = '/v1/embeddings',
  until,
  body,
}: LoadOptions): Load {
  const report: LoadReport = { answered: 0, failures: [] };
  let isStopping = false;

  const run = async (connection: number) => {
    const client = new Client(url, { pipelining: 1 });
    for (let number = 0; !isStopping && !until?.aborted; number++) {
      const id = `${requestIdOf(connection)}${number}`;
      try {
        const answer = await client.request({
          path,
          method: body ? 'POST' : 'GET',
          body: body ? JSON.stringify(body(id)) : null,
          headers: {
            authorization: `Bearer ${key}`,
            'content-type': 'application/json',
            'x-request-id': id,
          },
        });
        const text = await answer.body.text();
        if (answer.statusCode === 200) report.answered++;
        else report.failures.push({ connection, reason: `${answer.statusCode} ${text}` });
      } catch (error) {
        report.failures.push({ connection, reason: String(error) });
        await delay(pauseMs);
      }
    }
    await client.close();
  };
  const runs = Array.from({ length: connections }, (_, connection) => run(connection));

  return {
    get answered() {
      return report.answered;
    },
    get failures() {
      return report.failures;
    },
    answersMore: async count => {
      const goal = report.answered + count;
      await waitFor(`${count} more answers`, () => report.answered >= goal, { timeoutMs: 60_000 });
    },
    stop: async () => {
      isStopping = true;
      await Promise.all(runs);
      return report;
    },
  };
}
