/** Exit status of a process whose configuration is wrong (EX_CONFIG of sysexits.h). PM2 does not restart it. */
export const configExitCode = 78;

/** A configuration that cannot be used; `problems` names each thing that is wrong. Ends a process with status 78. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.length === 1 ? `${problems[0]}` : problems.map(problem => `- ${problem}`).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
