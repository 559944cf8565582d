/** Variables of ours that hold a password, and the channel to the PM2 daemon, which the child must not inherit. */
const withheld = new Set([
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
  'NODE_UNIQUE_ID',
  'REDIS_URL',
  'ER_REDIS_URL',
]);
const looksSecret = /KEY|TOKEN|SECRET|PASSWORD/i;
/** Hugging Face's token opens gated models; TOKENIZERS_PARALLELISM is no token. */
const isModelSetting = /^(HF_|CUDA|TOKENIZERS_)/;

/** The environment for a model server: ours without secrets and without PM2's channel. */
export function childEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => !withheld.has(name) && (isModelSetting.test(name) || !looksSecret.test(name)),
    ),
  );
}
