/** What one check of the machine came to. `warn`: it runs, but not as it should. */
export interface Finding {
  what: string;
  status: 'ok' | 'warn' | 'fail';
  found: string;
  /** What to do; null when all is well. */
  fix: string | null;
}

/** A finding that is well, or not well with the way to mend it. */
export const finding = (
  what: string,
  found: string,
  fix: string | null,
  status: 'warn' | 'fail' = 'fail',
): Finding => (fix === null ? { what, status: 'ok', found, fix } : { what, status, found, fix });
