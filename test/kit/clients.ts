import { createHash } from 'node:crypto';
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runProgram } from './run-program.ts';
import { projectRoot } from './stack.ts';

/**
 * Real clients of other people's APIs, in Node and Python, in the versions that test/clients pins. They are installed into
 * .cache/clients on first use, from npm and pip as this machine has them configured: nobody else needs their 400 MB.
 */

const sources = join(projectRoot, 'test/clients');
const cache = join(projectRoot, '.cache/clients');
const installTimeoutMs = 600_000;

/** Python packages that go together, by the file that names them. */
export type PythonSet = 'sdks' | 'frameworks';

/** A client program that is to run against a gateway. */
export interface ClientProgram {
  /** What it is, for titles: `node/openai`. */
  name: string;
  run: (gateway: { url: string; key: string }) => Promise<void>;
}

const pythonPrograms: Record<string, PythonSet> = {
  openai_client: 'sdks',
  cohere_client: 'sdks',
  voyageai_client: 'sdks',
  huggingface_client: 'sdks',
  langchain_client: 'frameworks',
  llamaindex_client: 'frameworks',
};

/** Every client, each a program of its own that fails when something is not as it should be. */
export function clientPrograms(): ClientProgram[] {
  const inNode = globSync(join(sources, 'node/*.mjs'))
    .map(file => basename(file))
    .filter(file => file !== 'reference.mjs')
    .sort();
  return [
    ...inNode.map(file => ({
      name: `node/${file}`,
      run: async (gateway: { url: string; key: string }) => {
        const folder = await installNodeClients();
        await runClient(process.execPath, [join(folder, file)], gateway);
      },
    })),
    ...Object.entries(pythonPrograms).map(([name, set]) => ({
      name: `python/${name}.py`,
      run: async (gateway: { url: string; key: string }) => {
        const python = join(await installPythonSet(set), 'bin/python');
        await runClient(python, [join(sources, 'python', `${name}.py`)], gateway);
      },
    })),
  ];
}

async function runClient(
  program: string,
  args: string[],
  { url, key }: { url: string; key: string },
): Promise<void> {
  const env = {
    ...environment(),
    ER_CLIENT_URL: url,
    ER_CLIENT_KEY: key,
    PYTHONDONTWRITEBYTECODE: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    LANGSMITH_TRACING: 'false',
  };
  const { code, output } = await runProgram(program, args, { cwd: cache, env });
  if (code !== 0) throw new Error(`${basename(args[0] ?? '')} ended with ${code}:\n${output.slice(-6000)}`);
}

/** The folder that holds the Node clients and their packages. */
async function installNodeClients(): Promise<string> {
  const files = ['package.json', 'package-lock.json'].map(name => join(sources, 'node', name));
  const folder = join(cache, `node-${digestOf(files)}`);
  await once(folder, async () => {
    for (const file of files) cpSync(file, join(folder, basename(file)));
    await install('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder);
  });
  for (const file of globSync(join(sources, 'node/*.mjs'))) cpSync(file, join(folder, basename(file)));
  return folder;
}

/** The venv that holds a set of Python packages. */
export async function installPythonSet(set: PythonSet): Promise<string> {
  const requirements = join(sources, 'python', `${set}.txt`);
  const folder = join(cache, `${set}-${digestOf([requirements])}`);
  await once(folder, async () => {
    await install('python3', ['-m', 'venv', folder], cache);
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-compile', '--disable-pip-version-check'];
    await install(join(folder, 'bin/python'), [...pip, '-r', requirements], folder);
  });
  return folder;
}

/** Does the work unless it was done before; what was begun and not finished is begun again. */
async function once(folder: string, work: () => Promise<void>): Promise<void> {
  const stamp = join(folder, 'installed');
  if (existsSync(stamp)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await work();
  writeFileSync(stamp, '');
}

async function install(program: string, args: string[], cwd: string): Promise<void> {
  const { code, output } = await runProgram(program, args, {
    cwd,
    env: environment(),
    timeoutMs: installTimeoutMs,
  });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output.slice(-4000)}`);
}

/** The caller's environment without what npm and node:test put there for their own children. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_TEST_|PYTHONPATH$)/.test(name)),
  );
}

function digestOf(files: string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}
