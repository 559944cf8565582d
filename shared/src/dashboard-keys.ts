import type { KeyView } from './keys/key-grants.ts';

/** The body of `GET /dashboard/keys`: the keys as `/admin/keys` lists them, and what holds where a key says nothing. */
export interface DashboardKeys {
  keys: KeyView[];
  usual_requests_per_minute: number;
}
