import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type EffectiveConfig, findProgram } from '@er-gateway/shared/config/effective-config';
import type { Role } from '@er-gateway/shared/config/schema';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import type { ModelCommand } from './command-inputs.ts';
import { listGpus } from './gpu.ts';
import { modelCommand } from './model-command.ts';
import { gpuMemoryShare, rerankerTemplate } from './vllm-command.ts';
import { vllmVersionOf } from './vllm-version.ts';

/** A command line that was checked against this machine. */
export interface PreparedCommand extends ModelCommand {
  /** GPU index; null on the CPU. */
  gpu: number | null;
  /** Share of that GPU's memory that it will ask for; null on the CPU. */
  gpuMemoryShare: number | null;
}

/** What prepareCommand() starts from. */
export interface PrepareOptions {
  config: EffectiveConfig;
  role: Role;
  replica: number;
  environment: NodeJS.ProcessEnv;
  enginePath: string;
}

/**
 * Finds the program, the model and the device, and makes the command line. Throws ConfigError that lists what is missing
 * and the setting to change.
 */
export async function prepareCommand(options: PrepareOptions): Promise<PreparedCommand> {
  const { config, role, replica, environment, enginePath } = options;
  const model = config.models[role];
  if (replica >= model.replicas) {
    throw new ConfigError([
      `models.${role}.replicas is ${model.replicas}: replica ${replica} is not asked for`,
    ]);
  }
  if (model.engine === 'external') {
    throw new ConfigError([
      `models.${role}: the external engine (${model.upstreams.join(', ')}) has no model process`,
    ]);
  }
  const cores = availableParallelism();
  if (model.engine === 'builtin') {
    if (!existsSync(enginePath)) throw new ConfigError([`${enginePath} is missing: run npm run build`]);
    const inputs = { ...options, program: process.execPath, device: 'cpu' as const, cores, version: null };
    return { ...modelCommand(inputs), gpu: null, gpuMemoryShare: null };
  }
  const program = findProgram(config.vllm.command, environment);
  const problems = missingParts(config, role, program);
  if (program === null || problems.length > 0) throw new ConfigError(problems);
  const device = await chooseDevice(config, role, environment);
  const isOnGpu = device === 'gpu';
  return {
    ...modelCommand({ ...options, program, device, cores, version: vllmVersionOf(program) }),
    gpu: isOnGpu ? model.gpu : null,
    gpuMemoryShare: isOnGpu ? gpuMemoryShare(model) : null,
  };
}

function missingParts(config: EffectiveConfig, role: Role, program: string | null): string[] {
  const { path } = config.models[role];
  const problems: string[] = [];
  if (program === null) {
    problems.push(
      `vllm.command: no program ${config.vllm.command} found (install vLLM, or set ER_VLLM_COMMAND to its path)`,
    );
  }
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    problems.push(
      `models.${role}.path: no folder at ${path} (download the model there, or set ER_MODELS_${role.toUpperCase()}_PATH)`,
    );
  }
  if (role === 'reranker' && !existsSync(rerankerTemplate(config.root))) {
    problems.push(`${rerankerTemplate(config.root)} is missing: the reranker's scores would be random`);
  }
  return problems;
}

/** `vllm.device`, where `auto` is the GPU when nvidia-smi lists one. Throws ConfigError when the GPU asked for is not there. */
async function chooseDevice(
  config: EffectiveConfig,
  role: Role,
  environment: NodeJS.ProcessEnv,
): Promise<'gpu' | 'cpu'> {
  if (config.vllm.device !== 'auto') return config.vllm.device;
  const gpus = await listGpus(environment);
  if (gpus.length === 0) return 'cpu';
  const { gpu } = config.models[role];
  if (!gpus.includes(gpu)) {
    throw new ConfigError([
      `models.${role}.gpu: there is no GPU ${gpu} (nvidia-smi lists ${gpus.join(', ')}); set ER_MODELS_${role.toUpperCase()}_GPU`,
    ]);
  }
  return 'gpu';
}
