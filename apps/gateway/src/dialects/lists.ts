import { z } from 'zod';

/** Longest list that any body may hold: eight times as many token ids as the longest input of the models has. */
export const mostItems = 262_144;

/** What is wrong with a value, and where in it. */
interface Wrong {
  message: string;
  path?: number[];
}
/** Says what is wrong with an item, to be read after its place (`must be a string`); null when nothing is. */
export type ItemCheck = (item: unknown) => string | null;

export const isText: ItemCheck = item => (typeof item === 'string' ? null : 'must be a string');
export const isTokenId: ItemCheck = item =>
  Number.isSafeInteger(item) && (item as number) >= 0 ? null : 'must be a token id: an integer from 0 up';

/**
 * A field that is looked over in one go, up to the first thing that is wrong. zod would keep an issue for each of two
 * million wrong items, and read a list once for each kind that it may be of. `told` is what OpenAPI says of it.
 */
export const lookedOver = <Value>(look: (value: unknown) => Wrong | null, told: Record<string, unknown>) =>
  z
    .custom<Value>()
    .superRefine((value, context) => {
      const wrong = look(value);
      // Checks that come after this one read a value that is what it should be, or are not called.
      if (wrong !== null) context.addIssue({ code: 'custom', continue: false, ...wrong });
    })
    .meta(told);

/** The first wrong item of a list that is called `name`, an empty path for what is no list; null when all is well. */
export function firstWrong(
  value: unknown,
  { name, what, check }: { name: string; what: string; check: ItemCheck },
): Wrong | null {
  if (!Array.isArray(value)) return { message: `${name} must be ${what}` };
  for (let index = 0; index < value.length; index++) {
    const complaint = check(value[index]);
    if (complaint !== null) return { message: `${name}[${index}] ${complaint}`, path: [index] };
  }
  return null;
}

/** A list called `name`, whose items are in JSON Schema `items`. */
export const listOf = <Item>(
  name: string,
  list: { what: string; check: ItemCheck; items: object; min?: number; max?: number },
) =>
  lookedOver<Item[]>(
    value => {
      const { min = 0, max = mostItems } = list;
      if (Array.isArray(value) && (value.length < min || value.length > max))
        return { message: `${name} must hold ${min} to ${max} items` };
      return firstWrong(value, { name, ...list });
    },
    {
      type: 'array',
      items: list.items,
      ...(list.min && { minItems: list.min }),
      ...(list.max && { maxItems: list.max }),
    },
  );

/** A list of texts called `name`, or one text without a list around it. */
export const textOrTexts = (name: string) => {
  const what = 'a string or a list of strings';
  return lookedOver<string | string[]>(
    value => (typeof value === 'string' ? null : firstWrong(value, { name, what, check: isText })),
    { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }] },
  );
};
