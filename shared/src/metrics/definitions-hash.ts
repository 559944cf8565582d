import { createHash } from 'node:crypto';
import { metricDefinitions } from './definitions.ts';

/** Tells today's names, labels and buckets from those of another version: counts made under others would mix badly with ours. */
export const definitionsHash = createHash('sha256').update(JSON.stringify(metricDefinitions)).digest('hex');
