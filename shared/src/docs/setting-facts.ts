import { z } from 'zod';
import { type SettingLeaf, settingLeaves } from '../config/environment.ts';

/** What the schema says of one setting, in words and values for documentation. */
export interface SettingFacts extends SettingLeaf {
  /** `gateway.tls.cert`. */
  name: string;
  about: string;
  fallback: unknown;
  /** Which values it takes, in a few words. */
  takes: string;
}

/** The parts of JSON Schema that zod writes for our settings. */
interface ValueSchema {
  type?: string | string[];
  format?: string;
  enum?: string[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  items?: ValueSchema;
  anyOf?: ValueSchema[];
  default?: unknown;
  description?: string;
}

/** Every setting with its facts, in the order of the schema. Throws when one has no description. */
export function settingFacts(): SettingFacts[] {
  return settingLeaves().map(leaf => {
    const name = leaf.path.join('.');
    const schema = z.toJSONSchema(leaf.schema, { io: 'input' }) as ValueSchema;
    if (!schema.description) throw new Error(`${name} has no description in the schema`);
    return { ...leaf, name, about: schema.description, fallback: schema.default, takes: takenBy(schema) };
  });
}

function takenBy(schema: ValueSchema): string {
  if (schema.anyOf) return schema.anyOf.map(takenBy).join(' or ');
  if (Array.isArray(schema.type)) return schema.type.map(type => takenBy({ ...schema, type })).join(' or ');
  if (schema.enum) return schema.enum.map(value => `\`${value}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items?.format === 'uri' ? 'URLs' : 'texts'}`;
  if (schema.type === 'integer') return ['integer', bounds(schema)].filter(Boolean).join(' ');
  if (schema.type === 'number') return ['number', bounds(schema)].filter(Boolean).join(' ');
  if (schema.type === 'null') return '`null`';
  return schema.format === 'uri' ? 'URL' : 'text';
}

function bounds({ minimum, exclusiveMinimum, maximum }: ValueSchema): string {
  // zod's integers are bounded by what a double can hold; that is no bound of ours.
  const top = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? null : maximum;
  if (exclusiveMinimum !== undefined)
    return `above ${exclusiveMinimum}${top === null ? '' : `, up to ${top}`}`;
  if (minimum === undefined) return top === null ? '' : `up to ${top}`;
  return top === null ? `from ${minimum}` : `${minimum} to ${top}`;
}
