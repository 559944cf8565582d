import { parseArgs } from 'node:util';

/** What the engine was started as. */
export interface EngineOptions {
  role: 'embedding' | 'reranker';
  host: string;
  /** TCP port; 0 takes a free one. */
  port: number;
  /** Name that requests use for the model, beside its real one. */
  servedName: string;
}

/** The command line as options. Throws Error with a line for people when it is wrong. */
export function parseCommandLine(args: string[]): EngineOptions {
  const { values } = parseArgs({
    args,
    options: {
      role: { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string' },
      'served-name': { type: 'string' },
    },
  });
  const port = Number(values.port ?? Number.NaN);
  if (values.role !== 'embedding' && values.role !== 'reranker')
    throw new Error('--role must be embedding or reranker');
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new Error('--port must be a number from 0 to 65535');
  if (!values['served-name']) throw new Error('--served-name must name the model');
  return { role: values.role, host: values.host, port, servedName: values['served-name'] };
}
