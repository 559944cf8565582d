/** Longest life, in case that a test forgets it. */
const maxLifeMs = 10 * 60_000;

// Poses as vLLM's engine process: outlives a parent that was killed, ends on SIGTERM.
process.title = 'VLLM::EngineCore';
process.on('disconnect', () => {});
process.on('SIGTERM', () => process.exit(0));
setTimeout(() => process.exit(0), maxLifeMs);
