import { ConfigError, configExitCode } from '@er-gateway/shared/errors/config-error';
import { CommandError } from './command-context.ts';
import { createPm2 } from './pm2.ts';
import { createProgram } from './program.ts';

// The starter runs us in the project's root.
const root = process.cwd();
const environment = process.env;
const context = { root, environment, pm2: createPm2(root, environment), output: process.stdout };

createProgram(context)
  .parseAsync()
  .then(
    () => process.exit(),
    (error: unknown) => {
      if (error instanceof ConfigError) {
        console.error(`The configuration is wrong:\n${error.message}`);
        process.exit(configExitCode);
      }
      console.error(error instanceof CommandError ? error.message : error);
      process.exit(error instanceof CommandError ? error.exitCode : 1);
    },
  );
