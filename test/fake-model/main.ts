import { parseFlags } from './options.ts';
import { runFakeModel } from './process.ts';

// A stand-in for one vLLM server: node test/fake-model/main.ts --role=embedding --port=8000 (options.ts lists the flags).
await runFakeModel(parseFlags(process.argv.slice(2)));
