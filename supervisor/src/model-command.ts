import { childEnvironment } from './child-environment.ts';
import { type ModelCommand, type ModelCommandInputs, modelPort } from './command-inputs.ts';
import { vllmArguments, vllmEnvironment } from './vllm-command.ts';

/** The command line of one model server. Pure; flags and variables are those of vLLM 0.32 or of our own engine. */
export function modelCommand(inputs: ModelCommandInputs): ModelCommand {
  const { config, role, replica, program } = inputs;
  const model = config.models[role];
  const environment = childEnvironment(inputs.environment);
  if (model.engine === 'vllm') {
    return {
      command: program,
      args: vllmArguments(inputs),
      env: { ...environment, ...vllmEnvironment(inputs) },
    };
  }
  const port = String(modelPort(config, role, replica));
  const args = [inputs.enginePath, '--role', role, '--port', port, '--served-name', model.served_name];
  return { command: program, args, env: environment };
}
