import { type IncomingHttpHeaders, request } from 'node:http';

/** A stream of server-sent events, read as it comes. */
export interface EventStream {
  events: { name: string; data: unknown }[];
  /** Of the answer; empty before it came. */
  headers: () => IncomingHttpHeaders;
  /** How it ended: `complete`, or `broken`. */
  end: Promise<'complete' | 'broken'>;
  leave: () => void;
}

/** Opens `/dashboard/events` on a socket. */
export function openEvents(socketPath: string): EventStream {
  const events: EventStream['events'] = [];
  let headers: IncomingHttpHeaders = {};
  const sent = request({ socketPath, path: '/dashboard/events', agent: false });
  const end = new Promise<'complete' | 'broken'>(resolve => {
    sent.on('error', () => resolve('broken'));
    sent.on('response', response => {
      headers = response.headers;
      let rest = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const [, name, data] = /^event: (\w+)\ndata: (.+)$/.exec(block) ?? [];
          if (name !== undefined && data !== undefined) events.push({ name, data: JSON.parse(data) });
        }
      });
      response.on('error', () => resolve('broken'));
      response.on('end', () => resolve('complete'));
    });
  });
  sent.end();
  return { events, headers: () => headers, end, leave: () => sent.destroy() };
}
