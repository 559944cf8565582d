import { spinner } from '@clack/prompts';

/** One thing that is waited for, and how it stands. */
export interface ProgressItem {
  name: string;
  text: string;
  isDone: boolean;
}

/** Shows what is waited for. */
export interface Progress {
  show(items: ProgressItem[]): void;
  /** Ends the display; nothing is shown after this. */
  end(text: string, isSuccess: boolean): void;
}

/** A line that changes in place on a terminal; a line for each change elsewhere (a log, a pipe). */
export function createProgress(output: NodeJS.WriteStream, title: string): Progress {
  return output.isTTY ? spinnerProgress(output, title) : lineProgress(output, title);
}

function spinnerProgress(output: NodeJS.WriteStream, title: string): Progress {
  const line = spinner({
    output,
    indicator: 'timer',
    cancelMessage: 'Interrupted. npm run status shows what runs, npm stop ends it.',
  });
  // The spinner takes ^C as an end in good order.
  const interrupted = () => {
    process.exitCode = 130;
  };
  process.once('exit', interrupted);
  line.start(title);
  return {
    show: items => {
      const open = items.filter(item => !item.isDone).map(item => `${item.name}: ${item.text}`);
      line.message(oneLine([title, ...open].join(' · '), output.columns - 12));
    },
    end: (text, isSuccess) => {
      process.off('exit', interrupted);
      if (isSuccess) line.stop(text);
      else line.error(text);
    },
  };
}

function lineProgress(output: NodeJS.WriteStream, title: string): Progress {
  const shown = new Map<string, string>();
  output.write(`${title}\n`);
  return {
    show: items => {
      for (const { name, text } of items) {
        if (shown.get(name) === text) continue;
        shown.set(name, text);
        output.write(`  ${name.padEnd(10)} ${text}\n`);
      }
    },
    end: text => output.write(`${text}\n`),
  };
}

const oneLine = (text: string, width: number) =>
  text.length > width && width > 1 ? `${text.slice(0, width - 1)}…` : text;
