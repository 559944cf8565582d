import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import type { Role } from '@er-gateway/shared/config/schema';
import type { VllmVersion } from './vllm-version.ts';

/** A program to run: absolute path or name, arguments, the whole environment. */
export interface ModelCommand {
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
}

/** All that a command line is made from; nothing is looked up here. */
export interface ModelCommandInputs {
  config: EffectiveConfig;
  role: Role;
  /** 0 for the first server of this model. */
  replica: number;
  environment: NodeJS.ProcessEnv;
  /** Full path of the vllm program, or of the Node that runs the built-in engine. */
  program: string;
  /** The built-in engine's entry file. */
  enginePath: string;
  device: 'gpu' | 'cpu';
  /** Of the installed vLLM; null when it is not known, or for the built-in engine. */
  version: VllmVersion | null;
  /** CPU cores of this machine. */
  cores: number;
}

/** TCP port of one replica on 127.0.0.1, as in the upstreams of the configuration. */
export function modelPort(config: EffectiveConfig, role: Role, replica: number): number {
  return config.models[role].port + 10 * replica;
}
