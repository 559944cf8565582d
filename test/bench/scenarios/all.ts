import type { Scenario } from '../scenario.ts';
import { clients } from './clients.ts';
import { fairness } from './fairness.ts';
import { goodput } from './goodput.ts';
import { h2 } from './h2.ts';
import { overhead } from './overhead.ts';
import { rerank } from './rerank.ts';
import { rivals } from './rivals.ts';
import { single } from './single.ts';
import { soak } from './soak.ts';
import { startup } from './startup.ts';
import { workers } from './workers.ts';

/** Every scenario, in the order in which they are run and shown. */
export const scenarios: readonly Scenario[] = [
  goodput,
  rerank,
  single,
  overhead,
  h2,
  clients,
  fairness,
  soak,
  workers,
  startup,
  rivals,
];
