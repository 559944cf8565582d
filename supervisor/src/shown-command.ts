import type { ModelCommand } from './command-inputs.ts';

const isSecretFlag = /^--?(?:api-?key|hf-?token|\S*password|\S*secret)/i;

/** A command line for the log, without the values of flags that carry secrets. */
export function shownCommand({ command, args }: ModelCommand): string {
  const shown = args.map((arg, index) => {
    if (isSecretFlag.test(arg.replaceAll('_', '-'))) return arg.replace(/=.*/s, '=***');
    const flag = args[index - 1] ?? '';
    return isSecretFlag.test(flag.replaceAll('_', '-')) && !flag.includes('=') ? '***' : arg;
  });
  return [command, ...shown].map(word => (/^[\w./:=,@*-]+$/.test(word) ? word : `'${word}'`)).join(' ');
}
