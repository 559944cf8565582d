import { useEffect, useState } from 'preact/hooks';
import { logIn, logOut, readSession, type Session, type Snapshot, watch } from './connection.ts';
import { Dashboard } from './dashboard.tsx';
import { Login } from './login.tsx';

type Stage =
  | { name: 'starting' }
  | { name: 'login'; why: string | null }
  | { name: 'watching'; session: Session };

/** The whole page: a login, or the dashboard. */
export function App() {
  const [stage, setStage] = useState<Stage>({ name: 'starting' });
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);

  useEffect(() => {
    begin()
      .then(session => setStage(session ? { name: 'watching', session } : { name: 'login', why: null }))
      .catch(error => setStage({ name: 'login', why: error.message }));
  }, []);
  useEffect(() => {
    if (stage.name !== 'watching') return;
    return watch({
      onNews: setSnapshot,
      onRefusal: setRefusal,
      onLogout: () => setStage({ name: 'login', why: 'The session is over. Log in again.' }),
    });
  }, [stage]);

  if (stage.name === 'starting') return <p class="starting">Loading</p>;
  if (stage.name === 'login') {
    return <Login why={stage.why} onLogin={session => setStage({ name: 'watching', session })} />;
  }
  const leave = async () => {
    await logOut().catch(() => {});
    setSnapshot(null);
    setStage({ name: 'login', why: null });
  };
  return <Dashboard snapshot={snapshot} refusal={refusal} session={stage.session} onLogout={leave} />;
}

/**
 * The session that is there (the gateway says in the page when there is none), or one for the key in the page's address, which
 * leaves the address. Where no login is needed, the key is for nothing.
 */
async function begin(): Promise<Session | null> {
  const address = new URL(location.href);
  const key = address.searchParams.get('api_key');
  if (key === null) return 'login' in document.body.dataset ? null : readSession();
  address.searchParams.delete('api_key');
  history.replaceState(null, '', address);
  const session = await readSession();
  return session?.name === null ? session : logIn(key);
}
