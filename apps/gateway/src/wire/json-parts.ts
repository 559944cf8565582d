/** JSON in parts that are made while they are sent: an answer that echoes 1,000 documents has 30 MB. */

/** Numbers that go into one part. */
const numbersInPart = 4096;

/** An object that holds a large list: the members of `head`, the list under `name`, the members of `tail`. */
export function* jsonWithList(
  head: object,
  [name, list]: [name: string, list: Iterable<string>],
  tail: object,
): Iterable<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"${name}":`;
  yield* list;
  yield `,${JSON.stringify(tail).slice(1)}`;
}

/** A list, a part for each item, which is made of its like in `items` when its turn comes. */
export function* jsonList<Item>(
  items: readonly Item[],
  toItem: (item: Item) => unknown = item => item,
): Iterable<string> {
  let separator = '[';
  for (const item of items) {
    yield separator + JSON.stringify(toItem(item));
    separator = ',';
  }
  yield separator === '[' ? '[]' : ']';
}

/** A list of numbers, some thousand in a part. */
export function* jsonNumbers(numbers: readonly number[]): Iterable<string> {
  yield '[';
  for (let start = 0; start < numbers.length; start += numbersInPart)
    yield (start > 0 ? ',' : '') + numbers.slice(start, start + numbersInPart).join(',');
  yield ']';
}
