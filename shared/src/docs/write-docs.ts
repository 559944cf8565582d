import { mkdirSync, writeFileSync } from 'node:fs';
import { configurationPage } from './configuration-page.ts';
import { errorsPage } from './errors-page.ts';
import { exampleConfig } from './example-config.ts';

// Run by hand in the project's root after a change of the schema or the catalogue; unit tests say when it is needed.
mkdirSync('docs', { recursive: true });
writeFileSync('docs/configuration.md', configurationPage());
writeFileSync('docs/errors.md', errorsPage());
writeFileSync('er.config.example.yaml', exampleConfig());
