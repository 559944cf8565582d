import { hash as digestOf } from 'node:crypto';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { newKey } from '@er-gateway/shared/keys/ensure-key-file';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import type {
  KeyView,
  keyChangeSchema,
  keyImportSchema,
  newKeySchema,
} from '@er-gateway/shared/keys/key-grants';
import {
  type KeyChange,
  type KeyRecord,
  type ListedKey,
  managedSource,
  type StateStore,
} from '@er-gateway/shared/state/store';
import type { z } from 'zod';

/** How often a change is tried again when another one came between. */
const attempts = 5;

/** So many replaced texts of a key may be in their grace periods at once. */
const mostOldTexts = 4;

/** A key and its text, which is shown this once and kept nowhere. */
export interface FreshKey extends KeyView {
  key: string;
}

/**
 * Hears which keys are about to be changed, before the store is asked to, and then whether it did; nothing more when it
 * does not answer.
 */
export type TellChange = (keyIds: string[], applied: boolean | 'unknown') => void;

/** Makes, changes and ends the keys that live in the store. Those of key files are shown, and changed in their files. */
export class KeyAdmin {
  readonly #store: Pick<StateStore, 'listKeys' | 'changeKeys'>;

  constructor(store: Pick<StateStore, 'listKeys' | 'changeKeys'>) {
    this.#store = store;
  }

  /** All keys by name. */
  async list(): Promise<KeyView[]> {
    const listed = await this.#store.listKeys();
    const views = current(listed).map(one => viewOf(one, listed));
    return views.sort((one, other) => one.name.localeCompare(other.name) || (one.id < other.id ? -1 : 1));
  }

  async show(id: string): Promise<KeyView> {
    const view = (await this.list()).find(key => key.id === id);
    if (!view) throw unknownKey();
    return view;
  }

  async create(settings: z.infer<typeof newKeySchema>, tell: TellChange): Promise<FreshKey> {
    const key = newKey();
    const record = recordOf(hashKey(key), settings);
    if (!(await this.#apply({ put: [record], drop: [], seen: [] }, [record.id], tell))) throw tooBusy();
    return { ...viewOf({ source: managedSource, key: record }, []), key };
  }

  /** Changes name, role or grants; null takes a grant back. */
  async update(id: string, change: z.infer<typeof keyChangeSchema>, tell: TellChange): Promise<KeyView> {
    await this.#change(id, tell, secrets => ({
      put: secrets.map(secret => withoutNulls({ ...secret, ...change })),
      drop: [],
      seen: secrets,
    }));
    return this.show(id);
  }

  /** Ends a key, an old text in its grace period too, and one that a rotation makes meanwhile. */
  async revoke(id: string, tell: TellChange): Promise<KeyView> {
    const view = await this.show(id);
    // The store takes texts that are gone for ended, also when a rotation put another one in their place: look again.
    do
      await this.#change(id, tell, secrets => ({
        put: [],
        drop: secrets.map(({ hash }) => hash),
        seen: secrets,
      }));
    while (managedOf(id, await this.#store.listKeys()).length > 0);
    return view;
  }

  /**
   * Gives a key a new text; the old one goes on for a while, and so do texts that were replaced before: a client may still
   * have one, when nobody saw what an earlier rotation made. Without a grace period all of them end now.
   */
  async rotate(id: string, graceSeconds: number, tell: TellChange): Promise<FreshKey> {
    const key = newKey();
    const hash = hashKey(key);
    const now = Date.now();
    await this.#change(id, tell, secrets => {
      if (secrets.some(secret => secret.hash === hash)) return null;
      const [live] = secrets.filter(secret => secret.grace_ends_at === undefined);
      if (!live) throw unknownKey();
      const fresh = { ...live, hash, created_at: new Date(now).toISOString() };
      if (graceSeconds === 0) return { put: [fresh], drop: secrets.map(({ hash }) => hash), seen: secrets };
      const old = { ...live, grace_ends_at: new Date(now + graceSeconds * 1000).toISOString() };
      const ended = secrets
        .filter(secret => secret !== live)
        .sort((one, other) => graceEnd(other) - graceEnd(one))
        .filter((secret, index) => graceEnd(secret) <= now || index >= mostOldTexts - 1)
        .map(({ hash }) => hash);
      return { put: [fresh, old], drop: ended, seen: secrets };
    });
    return { ...(await this.show(id)), key };
  }

  /** Takes over keys that others made, by their hashes. Those that are known here already are left as they are. */
  async import(
    { keys }: z.infer<typeof keyImportSchema>,
    tell: TellChange,
  ): Promise<{ imported: KeyView[]; skipped: number }> {
    const known = new Set((await this.#store.listKeys()).map(({ key }) => key.hash));
    const put = new Map<string, KeyRecord>();
    for (const { key_sha256: hash, ...settings } of keys)
      if (!known.has(hash)) put.set(hash, recordOf(hash, settings));
    const records = [...put.values()];
    const ids = records.map(({ id }) => id);
    if (!(await this.#apply({ put: records, drop: [], seen: [] }, ids, tell))) throw tooBusy();
    const imported = records.map(key => viewOf({ source: managedSource, key }, []));
    return { imported, skipped: keys.length - imported.length };
  }

  /** Changes all texts of a key; null: they are as wanted. Looks again when somebody else changed them meanwhile. */
  async #change(
    id: string,
    tell: TellChange,
    decide: (secrets: KeyRecord[]) => KeyChange | null,
  ): Promise<void> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const listed = await this.#store.listKeys();
      const secrets = managedOf(id, listed);
      if (secrets.length === 0) throw listed.some(({ key }) => key.id === id) ? keyOfFile() : unknownKey();
      const change = decide(secrets);
      if (change === null || (await this.#apply(change, [id], tell))) return;
    }
    throw tooBusy();
  }

  async #apply(change: KeyChange, keyIds: string[], tell: TellChange): Promise<boolean> {
    tell(keyIds, 'unknown');
    const isApplied = await this.#store.changeKeys(change);
    tell(keyIds, isApplied);
    return isApplied;
  }
}

function recordOf(hash: string, settings: z.infer<typeof newKeySchema>): KeyRecord {
  // Not the hash itself: its beginning would be the beginning of a secret's hash in every log.
  const id = digestOf('sha256', `id:${hash}`).slice(0, 16);
  return withoutNulls({ hash, id, ...settings, created_at: new Date().toISOString() });
}

/** A record as it is kept: what is not granted is left out. */
function withoutNulls(record: { [Name in keyof KeyRecord]: KeyRecord[Name] | null | undefined }): KeyRecord {
  return Object.fromEntries(
    Object.entries(record).filter(([, value]) => value !== null && value !== undefined),
  ) as unknown as KeyRecord;
}

/** All texts of a key that lives in the store. */
const managedOf = (id: string, listed: ListedKey[]) =>
  listed.filter(({ source, key }) => source === managedSource && key.id === id).map(({ key }) => key);

/** One entry for each key: old texts in their grace period are no keys of their own. */
const current = (listed: ListedKey[]) => listed.filter(({ key }) => key.grace_ends_at === undefined);

function viewOf({ source, key }: ListedKey, listed: ListedKey[]): KeyView {
  const { hash, created_at, grace_ends_at, ...shown } = key;
  const old = listed
    .map(other => other.key)
    .filter(other => other.id === key.id && other.grace_ends_at !== undefined)
    .sort((one, other) => graceEnd(other) - graceEnd(one))[0];
  const graceEndsAt = old?.grace_ends_at ?? null;
  const isManaged = source === managedSource;
  return {
    ...shown,
    source: isManaged ? 'managed' : 'file',
    host: isManaged ? null : (source.split(':', 1)[0] ?? null),
    created_at: created_at ?? null,
    is_expired: key.expires_at !== undefined && Date.parse(key.expires_at) <= Date.now(),
    old_key_valid_until: graceEndsAt !== null && Date.parse(graceEndsAt) > Date.now() ? graceEndsAt : null,
  };
}

const graceEnd = ({ grace_ends_at: end }: KeyRecord) => Date.parse(end ?? '');

const unknownKey = () =>
  new RequestError('not_found', 'There is no key with this id. GET /admin/keys lists all keys.');

const keyOfFile = () =>
  new RequestError(
    'permission_denied',
    'This key stands in a key file (er_api_keys.json). Change it there; an edit counts within 5 s.',
  );

const tooBusy = () =>
  new RequestError('state_unavailable', 'The keys are being changed by others. Try again in a second.', {
    retryAfterMs: 1000,
  });
