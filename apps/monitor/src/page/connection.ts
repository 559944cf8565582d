import type { DashboardKeys } from '@er-gateway/shared/dashboard-keys';
import type { AdminStatus } from '../admin-status.ts';
import type { HistoryPoint } from '../history.ts';
import type { ModelsEvent, StatusEvent } from '../status-stream.ts';

/** Who is logged in; name and end are null on the monitor's own port, which needs no login. */
export interface Session {
  name: string | null;
  expires_at: string | null;
}

/** What the page knows. */
export interface Snapshot {
  status: AdminStatus;
  points: readonly HistoryPoint[];
  /** When the last news came, Unix time in milliseconds. */
  heardAt: number;
  isLive: boolean;
}

// Relative addresses: the page works on the monitor's own port, behind the gateway, and behind a proxy with a path.
const sessionAddress = 'dashboard/session';
const eventsAddress = 'dashboard/events';

/** No news for so long means that the connection is dead, though nobody said so; in milliseconds. */
const silenceMs = 8000;
const retryMs = 2000;
const shownMs = 15 * 60_000;

/** The session that the browser has; null when it has none. Throws when nobody answers. */
export async function readSession(signal?: AbortSignal): Promise<Session | null> {
  const response = await fetch(sessionAddress, signal ? { signal } : {});
  if (response.status === 401 || response.status === 403) return null;
  return (await readJson(response)) as Session;
}

/** Exchanges an admin key for a session. Throws Error with the gateway's words when the key is not good. */
export async function logIn(key: string): Promise<Session> {
  return (await readJson(
    await fetch(sessionAddress, { method: 'POST', headers: { authorization: `Bearer ${key}` } }),
  )) as Session;
}

/** The keys with their names and limits; null where there is nobody to ask (on the monitor's own port). */
export async function readKeys(): Promise<DashboardKeys | null> {
  const response = await fetch('dashboard/keys');
  return response.ok ? ((await response.json()) as DashboardKeys) : null;
}

/** Ends the session. */
export async function logOut(): Promise<void> {
  await readJson(await fetch(sessionAddress, { method: 'DELETE' }));
}

async function readJson(response: Response): Promise<unknown> {
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  throw new Error(body?.error?.message ?? `The server answered with ${response.status}.`);
}

/** Why the stream cannot be had, in the server's words; null when it can, or nobody says. */
async function readRefusal(signal: AbortSignal): Promise<string | null> {
  const response = await fetch(eventsAddress, { signal });
  if (!response.ok) return (await response.json())?.error?.message ?? null;
  await response.body?.cancel();
  return null;
}

export interface Watcher {
  onNews: (snapshot: Snapshot) => void;
  /** Why there are none, where the server says it; null once there are. */
  onRefusal: (why: string | null) => void;
  /** The session is over. */
  onLogout: () => void;
}

/**
 * Follows the status until the function that it returns is called. Comes back by itself when the stream ends; rests while
 * nobody sees the page.
 */
export function watch({ onNews, onRefusal, onLogout }: Watcher): () => void {
  let snapshot: Snapshot | null = null;
  let source: EventSource | null = null;
  /** Of the stream that is open or being opened: only one is. */
  let opening = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const tell = (change: Partial<Snapshot>) => {
    if (snapshot) snapshot = { ...snapshot, ...change };
    else if (change.status)
      snapshot = { points: [], heardAt: Date.now(), isLive: true, ...change } as Snapshot;
    if (snapshot) onNews(snapshot);
  };
  const heard = (change: Partial<Snapshot>) => {
    clearTimeout(timer);
    timer = setTimeout(reopen, silenceMs);
    onRefusal(null);
    tell({ ...change, heardAt: Date.now(), isLive: true });
  };
  const close = () => {
    opening.abort();
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const reopen = () => {
    close();
    tell({ isLive: false });
    void open();
  };
  const retry = () => {
    close();
    tell({ isLive: false });
    timer = setTimeout(open, retryMs);
  };
  const open = async () => {
    close();
    opening = new AbortController();
    const { signal } = opening;
    const inTime = () => AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]);
    try {
      const session = await readSession(inTime());
      if (signal.aborted) return;
      if (session === null) return onLogout();
    } catch {
      if (!signal.aborted) retry();
      return;
    }
    if (document.hidden) return;
    let points: HistoryPoint[] = [];
    source = new EventSource(eventsAddress);
    source.addEventListener('history', ({ data }) => {
      points = JSON.parse(data);
    });
    source.addEventListener('status', ({ data }) => {
      const { status, point } = JSON.parse(data) as StatusEvent;
      if (point && point.at > (points.at(-1)?.at ?? 0))
        points = [...points.filter(({ at }) => point.at - at <= shownMs), point];
      heard({ status, points });
    });
    source.addEventListener('models', ({ data }) => {
      const models = JSON.parse(data) as ModelsEvent;
      if (snapshot)
        heard({ status: { ...snapshot.status, models, isReady: models.every(({ isReady }) => isReady) } });
    });
    source.addEventListener('error', () => {
      if (source?.readyState !== EventSource.CLOSED) return tell({ isLive: false });
      retry();
      // An EventSource does not say why.
      readRefusal(AbortSignal.timeout(silenceMs)).then(onRefusal, () => {});
    });
    timer = setTimeout(reopen, silenceMs);
  };
  const onVisibility = () => (document.hidden ? close() : void open());

  document.addEventListener('visibilitychange', onVisibility);
  void open();
  return () => {
    document.removeEventListener('visibilitychange', onVisibility);
    close();
  };
}
