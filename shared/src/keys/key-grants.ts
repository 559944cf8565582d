import { isIP } from 'node:net';
import { z } from 'zod';

/** Longest prefix of an address of each family, in bits. */
const prefixBits: Record<number, number> = { 4: 32, 6: 128 };

/** Whether a text is an IP address, or a block of them in CIDR form: `10.0.0.0/8`. */
function isAddressBlock(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (prefixBits[family] ?? 0));
}

const perMinute = z.int().min(1).max(1_000_000_000_000);

/**
 * What a key may do beyond its role, each left out where the defaults hold. The names are those of the key file, of
 * `/admin/keys` and of `er keys`.
 */
const grants = {
  models: z.array(z.string().min(1).max(200)).min(1).max(10).meta({
    description:
      'Models that it may ask: `embedding`, `reranker`, or served names. Left out: all that there are.',
  }),
  requests_per_minute: perMinute.meta({
    description: 'Requests a minute. Left out: limits.requests_per_minute.',
  }),
  inputs_per_minute: perMinute.meta({
    description: 'Texts and documents a minute. Left out: limits.inputs_per_minute.',
  }),
  tokens_per_minute: perMinute.meta({ description: 'Tokens a minute. Left out: limits.tokens_per_minute.' }),
  concurrency_share: z
    .number()
    .gt(0)
    .max(1)
    .meta({ description: 'Part of limits.concurrency that it may take up at once. Left out: all of it.' }),
  priority: z.enum(['interactive', 'bulk']).meta({
    description: 'bulk: all of its requests let others go first. Left out: as each request says.',
  }),
  weight: z.number().min(0.1).max(100).meta({
    description: 'Its part of a busy model, against the 1 of other keys of its class. Left out: 1.',
  }),
  expires_at: z.iso.datetime({ offset: true }).meta({ description: 'From then on it is refused.' }),
  allowed_addresses: z
    .array(z.string().max(49).refine(isAddressBlock, 'must be an IP address or a block like 10.0.0.0/8'))
    .min(1)
    .max(100)
    .meta({ description: 'Addresses and CIDR blocks that it may be used from. Left out: all.' }),
};

/** The grants of a key as they are written down. Unknown members are dropped. */
export const keyGrantsSchema = z.object(grants).partial();
/** What a key may do beyond its role. */
export type KeyGrants = z.infer<typeof keyGrantsSchema>;

const name = z
  .string()
  .min(1)
  .max(100)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are refused; \p{Cc} is no pattern that every JSON Schema tool knows
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/, 'must not hold control characters or line breaks')
  .meta({ description: 'Who or what uses it; shown in lists and the audit trail.' });
const role = z.enum(['user', 'admin']);

/** A new key as `POST /admin/keys` takes it. */
export const newKeySchema = z.strictObject({ name, role: role.default('user'), ...partial(grants) });
/** Changes of a key as `PATCH /admin/keys/{id}` takes them; null goes back to the default. */
export const keyChangeSchema = z.strictObject({
  name: name.optional(),
  role: role.optional(),
  ...nullable(grants),
});

/** Keys as `POST /admin/keys/import` takes them: by their hashes, so that no key text travels. */
export const keyImportSchema = z.strictObject({
  keys: z
    .array(
      z.strictObject({
        key_sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex'),
        name,
        role: role.default('user'),
        ...partial(grants),
      }),
    )
    .min(1)
    .max(1000),
});

/** Longest time that a replaced key text goes on, in seconds. */
const longestGraceSeconds = 30 * 24 * 3600;
/** What `POST /admin/keys/{id}/rotate` takes. */
export const keyRotationSchema = z.strictObject({
  grace_seconds: z
    .int()
    .min(0)
    .max(longestGraceSeconds)
    .default(3600)
    .meta({ description: 'How long the old key text goes on.' }),
});

/** A key as lists show it: never its text, nor its hash. */
export const keyViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  role,
  source: z
    .enum(['managed', 'file'])
    .meta({ description: 'file: it stands in a key file and is changed there.' }),
  host: z.string().nullable().meta({ description: 'Host of the key file.' }),
  created_at: z.string().nullable(),
  is_expired: z.boolean(),
  old_key_valid_until: z
    .string()
    .nullable()
    .meta({ description: 'End of the grace period after a rotation.' }),
  ...partial(grants),
});
/** A key as lists show it. */
export type KeyView = z.infer<typeof keyViewSchema>;

type Shape = Record<string, z.ZodType>;
function partial<S extends Shape>(shape: S): { [Name in keyof S]: z.ZodOptional<S[Name]> } {
  return Object.fromEntries(Object.entries(shape).map(([key, type]) => [key, type.optional()])) as never;
}
function nullable<S extends Shape>(shape: S): { [Name in keyof S]: z.ZodOptional<z.ZodNullable<S[Name]>> } {
  return Object.fromEntries(
    Object.entries(shape).map(([key, type]) => [key, type.nullable().optional()]),
  ) as never;
}
