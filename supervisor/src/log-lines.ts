import { stripVTControlCharacters } from 'node:util';

const longestLine = 300;

/** What the lines of a loading model server say of its progress, most telling first. vLLM 0.10 to 0.32. */
const progress: readonly { line: RegExp; detail: (match: RegExpMatchArray) => string }[] = [
  {
    line: /Loading \S+ checkpoint shards:.*?(\d+)\/(\d+)/,
    detail: ([, done, all]) => `loading weights ${done}/${all}`,
  },
  { line: /Starting to load model|Loading weights/i, detail: () => 'loading weights' },
  { line: /Start compiling|torch\.compile|Compiling a graph|Dynamo bytecode/, detail: () => 'compiling' },
  { line: /Capturing CUDA graph/i, detail: () => 'capturing CUDA graphs' },
  { line: /Available KV cache memory|GPU KV cache size|CPU KV cache size/, detail: () => 'reserving memory' },
  { line: /warming up|warmup|Application startup complete/i, detail: () => 'warming up' },
];

/** What a loading model server does now, by one line of its log; null when the line does not say. */
export function loadingDetail(line: string): string | null {
  for (const step of progress) {
    const match = line.match(step.line);
    if (match) return step.detail(match);
  }
  return null;
}

/** Root causes that vLLM buries in tracebacks, as it words them. */
const knownCauses = [
  /ValueError: Free memory on device.*/,
  /torch\.(cuda\.)?OutOfMemoryError.*/,
  /ValueError: No available memory for the cache blocks.*/,
  /ValueError: .*larger than the available KV cache memory.*/,
  /OSError: \[Errno 98\].*/,
  /\S*HFValidationError.*/,
  /error: (?:unrecognized arguments|argument --).*/,
  /Hint: --\S+ is not a vllm serve option.*/,
];
const anyException = /(?:[\w.]+\.)?\w*(?:Error|Exception)(?: \[\w+\])?: .+/;
/** Errors that only say that there was another one above. */
const followUp = /Engine core initialization failed|See (?:root cause|stack trace).*above|EngineDeadError/i;
const anyComplaint = /\b(?:error|fatal|failed|cannot)\b/i;

/** The line that best explains why a model server ended; null when its log says nothing. Oldest line first. */
export function explainingLine(lines: readonly string[]): string | null {
  const newestFirst = lines.map(plain).reverse();
  const firstMatch = (pattern: RegExp, from: readonly string[]) => {
    for (const line of from) {
      const match = line.match(pattern);
      if (match) return match[0];
    }
    return null;
  };
  for (const cause of knownCauses) {
    const found = firstMatch(cause, newestFirst);
    if (found) return shorten(found);
  }
  const refused = refusedSetting(lines.map(plain));
  if (refused) return shorten(refused);
  const causes = newestFirst.filter(line => !followUp.test(line));
  const found =
    firstMatch(anyException, causes) ??
    firstMatch(anyException, newestFirst) ??
    causes.find(line => anyComplaint.test(line)) ??
    null;
  return found === null ? null : shorten(found);
}

/** What pydantic says of a setting: in the lines after its headline, up to the one that ends in `[type=…`. */
function refusedSetting(lines: readonly string[]): string | null {
  const at = lines.findLastIndex(line => /\d+ validation errors? for \w+/.test(line));
  if (at < 0) return null;
  const rest = lines.slice(at + 1, at + 5).map(line => line.replace(/^\([^)]*\)\s*/, '').trim());
  const end = rest.findIndex(line => line.includes('[type='));
  const said = rest.slice(0, end < 0 ? 1 : end + 1).join(' ');
  return said.replace(/\s*\[type=.*/, '') || null;
}

/** Without colours and trailing space. */
const plain = (line: string) => stripVTControlCharacters(line).trimEnd();

const shorten = (line: string) => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line);
