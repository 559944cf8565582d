import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from './random.ts';

/** Common English words, each one token or two for Qwen3. */
const words =
  `time year people way day man thing woman life child world school state family student group country problem hand part
  place case week company system program question work government number night point home water room mother area money
  story fact month lot right study book eye job word business issue side kind head house service friend father power hour
  game line end member law car city community name president team minute idea body information back parent face others
  level office door health person art war history party result change morning reason research girl guy moment air teacher
  force education foot boy age policy music market sense nation plan college interest death experience effect use class
  control field development role effort rate heart drug show leader light voice wife police mind price report decision
  son view relationship town road arm difference value building action season society tax director position player record
  paper space ground form event official matter center couple site project activity star table need court oil situation
  cost industry figure street image phone data picture practice piece land product doctor wall patient worker news test
  movie north love support technology step baby computer type attention film tree source organization hair look century`.split(
    /\s+/,
  );

/** What the bodies of a file ask for. */
export type BodyKind =
  | { route: 'embeddings'; inputs: number; encoding: 'float' | 'base64' }
  | { route: 'rerank'; documents: number };

/** Words of a text. */
const textLength = 10;
/** More bodies than are under way at once, so that no two of them are equal then; small enough to be read fast. */
const mostTexts = 4000;

/** A file of request bodies, one a line, all texts different. Made once for each kind. */
export function bodyFile(folder: string, kind: BodyKind): string {
  const texts = textSource(kind.route === 'rerank' ? 2 : 1);
  const name = Object.values(kind).join('-');
  const file = join(folder, `${name}.jsonl`);
  if (existsSync(file)) return file;
  const inputs = kind.route === 'rerank' ? kind.documents : kind.inputs;
  const count = Math.max(8, Math.floor(mostTexts / inputs));
  const lines = Array.from({ length: count }, () => JSON.stringify(bodyOf(kind, texts)));
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

function bodyOf(kind: BodyKind, nextText: () => string): unknown {
  if (kind.route === 'rerank') {
    const documents = Array.from({ length: kind.documents }, nextText);
    return { model: 'Qwen3-Reranker-0.6B', query: nextText(), documents };
  }
  const texts = Array.from({ length: kind.inputs }, nextText);
  return {
    model: 'Qwen3-Embedding-0.6B',
    input: kind.inputs === 1 ? texts[0] : texts,
    encoding_format: kind.encoding,
  };
}

/** Texts of ten words; the number among them keeps any two apart. */
function textSource(seed: number): () => string {
  const random = seededRandom(seed);
  let made = 0;
  return () => {
    const chosen = Array.from({ length: textLength - 1 }, () => words[Math.floor(random() * words.length)]);
    return `${chosen.join(' ')} ${made++}`;
  };
}
