import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type H2LoadSample, runH2Load } from '../load/h2load.ts';
import { takeTurns } from '../measure/pairs.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Outcome, Scenario } from '../scenario.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

const clients = 64;
/** How the same 64 requests at once come. */
const sides = {
  'HTTP/1.1, 64 connections': { protocol: 'http/1.1', connections: clients, streams: 1 },
  'HTTP/2, 64 connections': { protocol: 'h2', connections: clients, streams: 1 },
  'HTTP/2, 8 connections of 8': { protocol: 'h2', connections: 8, streams: 8 },
} as const;
type SideName = keyof typeof sides;

/** The same requests over both protocols, from one load generator, in front of a model server that costs nothing. */
export const h2: Scenario = {
  name: 'h2',
  title: '64 requests at once, a fast fake model server, base64: over HTTP/2 beside HTTP/1.1, in turns',
  run: async bench => {
    const { seconds, pairs, warmUpSeconds } = bench.options;
    const bodyFile = join(bench.folder, 'h2-body.json');
    const input = 'nine words and the number of them is ten';
    writeFileSync(
      bodyFile,
      JSON.stringify({ model: 'Qwen3-Embedding-0.6B', input, encoding_format: 'base64' }),
    );
    return bench.using(startBenchStack(bench, { workers: 2 }), async stack => {
      const measure = (side: SideName, length: number) =>
        runH2Load({
          ...sides[side],
          url: `${stack.url}/v1/embeddings`,
          headers: stack.headers,
          bodyFile,
          seconds: length,
        });
      const names = Object.keys(sides) as SideName[];
      for (const side of names) await measure(side, warmUpSeconds ?? 3);
      const samples = await takeTurns(
        Object.fromEntries(names.map(side => [side, () => measure(side, seconds ?? 4)])) as Record<
          SideName,
          () => Promise<H2LoadSample>
        >,
        {
          rounds: pairs ?? 5,
          onSample: (side, { perSecond, meanMs }) =>
            bench.log(`${side}: ${Math.round(perSecond)}/s, mean ${meanMs.toFixed(1)} ms`),
        },
      );
      const rates = (side: SideName) => samples[side].map(({ perSecond }) => perSecond);
      const [http1, ...http2] = names as [SideName, ...SideName[]];
      const outcome: Outcome = {
        figures: [
          ...names.map(side => ({ name: side, value: median(rates(side)), unit: '1/s' as const })),
          ...http2.map(side => ({
            name: `${side} / ${http1}`,
            value: medianRatio(rates(side), rates(http1)),
            unit: 'x' as const,
            target: { atLeast: 1 },
          })),
        ],
        samples,
      };
      return outcome;
    });
  },
};
