import { mkdirSync, writeFileSync } from 'node:fs';
import { metricsPage } from '@er-gateway/shared/metrics/metrics-page';

// Run by hand in the project's root after a change of the definitions; a unit test says when it is needed.
mkdirSync('docs', { recursive: true });
writeFileSync('docs/metrics.md', metricsPage());
