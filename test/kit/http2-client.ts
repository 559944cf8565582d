import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';

/** An HTTP/2 connection, by prior knowledge to `http:` and by ALPN to `https:`. */
export interface Http2Client {
  session: ClientHttp2Session;
  /** Sends a request and reads its answer. Rejects when its stream is reset. */
  send: (request: Http2Call) => Promise<Http2Answer>;
  /** Begins a request; nothing is read and its end is not sent. */
  begin: (headers: OutgoingHttpHeaders) => ClientHttp2Stream;
  /** Cuts the connection. */
  close: () => void;
}

export interface Http2Call {
  path: string;
  method?: string;
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer;
}

export interface Http2Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** Connects, and resolves when the server has sent its settings. */
export async function openHttp2(url: string, options: SecureClientSessionOptions = {}): Promise<Http2Client> {
  const session = connect(url, options);
  session.on('error', () => {}); // tests look at what became of the requests
  await Promise.race([
    once(session, 'remoteSettings'),
    once(session, 'error').then(([error]) => Promise.reject(error)),
  ]);
  const begin = (headers: OutgoingHttpHeaders) => {
    const stream = session.request(headers, { endStream: false });
    stream.on('error', () => {});
    return stream;
  };
  return {
    session,
    begin,
    send: ({ path, method = 'GET', headers = {}, body }) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': path, ':method': method, ...headers });
        let head: IncomingHttpHeaders & { ':status'?: number | undefined } = {};
        const chunks: Buffer[] = [];
        stream.on('response', got => {
          head = got;
        });
        stream.on('data', chunk => chunks.push(chunk));
        stream.on('error', reject);
        const finish = () => {
          if (head[':status'] === undefined || stream.rstCode !== 0)
            reject(new Error(`the stream closed with ${stream.rstCode}`));
          else resolve({ status: head[':status'], headers: head, text: Buffer.concat(chunks).toString() });
          // Node's own client does not close a stream while it has something to send that nobody wants.
          stream.destroy();
        };
        stream.once('end', finish);
        stream.once('close', finish);
        stream.end(body);
      }),
    close: () => session.destroy(),
  };
}
