import { globSync } from 'node:fs';
import { Command } from 'commander';
import { addAuditCommands } from './audit.ts';
import { cert } from './cert.ts';
import type { CommandContext } from './command-context.ts';
import { dev } from './dev.ts';
import { doctor } from './doctor.ts';
import { addKeyCommands } from './keys.ts';
import { logs } from './logs.ts';
import { modelsLogs, modelsRestart, modelsStart, modelsStatus, modelsStop, rolesNamed } from './models.ts';
import { queue } from './queue.ts';
import { reload } from './reload.ts';
import { runNode } from './run-node.ts';
import { start } from './start.ts';
import { status } from './status.ts';
import { stop } from './stop.ts';
import { test } from './test.ts';

/** The commands behind `npm start`, `npm stop`, `npm run status` and so on. */
export function createProgram(context: CommandContext): Command {
  const { root, environment } = context;
  const exitWith = (code: number) => {
    process.exitCode = code;
  };
  const program = new Command('er-gateway').description(
    'Qwen3-Embedding-0.6B and Qwen3-Reranker-0.6B behind one port.',
  );
  program
    .command('start')
    .description('start what does not run, and wait until both models answer')
    .option('--detach', 'wait for the gateway alone, however the models stand: for systemd and the like')
    .action(options => start(context, options));
  program
    .command('stop')
    .description('stop everything')
    .action(() => stop(context));
  program
    .command('restart')
    .description('stop everything and start it with the settings as they are now')
    .action(async () => {
      await stop(context);
      await start(context);
    });
  program
    .command('status')
    .description('models, workers, ports, GPUs in one look')
    .option('--json', 'for programs')
    .action(options => status(context, options));
  program
    .command('queue')
    .description('what waits for the models, for whom; batches, cache, servers and their breakers')
    .option('--json', 'for programs')
    .action(options => queue(context, options));
  program
    .command('logs [app]')
    .description('last lines of the logs')
    .option('-f, --follow', 'go on with those that follow')
    .option('-n, --lines <n>', 'how many', '30')
    .action(async (app, options) => exitWith(await logs(context, app, options)));

  const models = program.command('models').description('the model servers alone');
  models.command('start [model]').action(model => modelsStart(context, rolesNamed(model)));
  models.command('restart [model]').action(model => modelsRestart(context, rolesNamed(model)));
  models.command('stop [model]').action(model => modelsStop(context, rolesNamed(model)));
  models
    .command('logs [model]')
    .option('-f, --follow', 'go on with what follows')
    .option('-n, --lines <n>', 'how many', '30')
    .action((model, options) => modelsLogs(context, rolesNamed(model), options));
  models
    .command('status [model]', { isDefault: true })
    .option('--json', 'for programs')
    .action((model, { json = false }) => modelsStatus(context, rolesNamed(model), json));

  addKeyCommands(program, context);
  addAuditCommands(program, context);
  program
    .command('reload')
    .description('replace the gateway workers by those of the present build, without a lost request')
    .action(() => reload(context));
  program
    .command('doctor')
    .description(
      'check this machine: versions, ports, GPUs, models, limits; and say how to mend what is wrong',
    )
    .option('--json', 'for programs')
    .action(async options => exitWith(await doctor(context, options)));

  program
    .command('cert [names...]')
    .description('make a certificate signed by itself, for trials of HTTPS with these names or addresses')
    .option('--dir <folder>', 'where to write er-gateway.crt and er-gateway.key', 'certs')
    .option('--days <n>', 'how long it is valid', '90')
    .option('--force', 'replace what is there')
    .action(async (names, options) => exitWith(await cert(context, names, options)));

  program
    .command('dev')
    .description('start with two workers; build and reload on changes')
    .action(() => dev(context));
  program
    .command('test [files...]')
    .description('run all tests, or those named')
    .action(async files => exitWith(await test(context, files)));
  program
    .command('test:vllm')
    .description('install a real vLLM on the CPU and run the tests that need one')
    .action(async () => {
      const installed = await runNode(root, ['test/kit/vllm/install.ts'], environment);
      if (installed !== 0) return exitWith(installed);
      const files = ['test/integration/model-contract.test.ts', ...globSync('test/vllm/*.test.ts')];
      exitWith(await test({ ...context, environment: { ...environment, ER_TEST_VLLM: '1' } }, files));
    });
  program
    .command('test:chaos [names...]')
    .description('kill each part of the system under load, or those named, and print what it cost')
    .action(async names => exitWith(await runNode(root, ['test/chaos/main.ts', ...names], environment)));
  program
    .command('bench [name]')
    .description('measure, side by side in one run')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (_, __, command) =>
      exitWith(await runNode(root, ['test/bench/main.ts', ...command.args], environment)),
    );
  return program;
}
