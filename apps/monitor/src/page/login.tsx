import { useEffect, useRef, useState } from 'preact/hooks';
import { logIn, type Session } from './connection.ts';

/** The form that exchanges an admin key for a session. */
export function Login({ why, onLogin }: { why: string | null; onLogin: (session: Session) => void }) {
  const [problem, setProblem] = useState(why);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => input.current?.focus(), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    const key = input.current?.value.trim() ?? '';
    if (key === '') {
      setProblem('Enter a key.');
      input.current?.focus();
      return;
    }
    try {
      onLogin(await logIn(key));
    } catch (error) {
      setProblem((error as Error).message);
      input.current?.select();
    }
  };
  return (
    <main class="login">
      <h1>er-gateway</h1>
      <form onSubmit={submit}>
        <input type="text" autocomplete="username" value="admin" readonly hidden />
        <label for="key">Admin API key</label>
        <input
          id="key"
          ref={input}
          type="password"
          autocomplete="current-password"
          autocapitalize="none"
          spellcheck={false}
          aria-describedby="key-note"
          aria-invalid={problem !== null && problem !== why}
        />
        <p id="key-note" class="quiet">
          A key of role admin, as in er_api_keys.json. It is not kept in the browser.
        </p>
        <p role="alert" class="problem" hidden={problem === null}>
          {problem}
        </p>
        <button type="submit">Log in</button>
      </form>
    </main>
  );
}
