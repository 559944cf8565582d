/** Parts of the names of variables that hold secrets, in capitals. */
const secretNameParts = ['REDIS_URL', 'KEY', 'TOKEN', 'SECRET', 'PASSWORD', 'PASSWD', 'CREDENTIAL'];

/** Whether a variable must not reach PM2: `pm2 jlist` and `pm2 save` show the environment of each app to its readers. */
export function isSecret(name: string, value: string | undefined): boolean {
  const capitals = name.toUpperCase();
  // TOKENIZERS_PARALLELISM is no token.
  if (capitals.startsWith('TOKENIZERS_')) return false;
  return secretNameParts.some(part => capitals.includes(part)) || hasPassword(value ?? '');
}

/** `scheme://user:password@host`. */
const hasPassword = (value: string) => /^[a-z][a-z0-9+.-]*:\/\/[^/\s]*:[^/\s]*@/i.test(value);

/** Whether a variable belongs to npm's run of a script, or is a setting of ours that the effective configuration holds. */
const isLeftover = (name: string) => /^npm_|^ER_|^INIT_CWD$|^NODE_APP_INSTANCE$/.test(name);

/** The caller's environment for PM2 and its apps: without secrets, and without what npm and the settings left there. */
export function environmentForApps(caller: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(caller).filter(([name, value]) => !isSecret(name, value) && !isLeftover(name)),
  );
}
