/** One call's lists of token ids, and how many of them have been given to the model. */
export interface Call {
  windows: readonly number[][];
  next: number;
}

/** One list of a call. */
export interface SliceItem<AnyCall extends Call> {
  call: AnyCall;
  position: number;
}

/** How much the model is given at once. It cannot be interrupted, so this is also how soon a hang-up frees it. */
export interface SliceLimits {
  maxRows: number;
  /** Rows times the longest of them: the model computes over the padding too. */
  maxPaddedTokens: number;
}

/**
 * The next work for the model: one list of each call in turn, in the calls' order, until the slice is full. At least one
 * list, when there is any. Advances `next` of the calls.
 */
export function takeSlice<AnyCall extends Call>(
  calls: readonly AnyCall[],
  limits: SliceLimits,
): SliceItem<AnyCall>[] {
  const slice: SliceItem<AnyCall>[] = [];
  let longest = 0;
  for (const item of inTurn(calls)) {
    longest = Math.max(longest, item.call.windows[item.position]?.length ?? 0);
    const rows = slice.length + 1;
    if (slice.length > 0 && (rows > limits.maxRows || rows * longest > limits.maxPaddedTokens)) break;
    slice.push(item);
  }
  for (const { call } of slice) call.next++;
  return slice;
}

/** What is left of all calls, a list of each in turn. */
function* inTurn<AnyCall extends Call>(calls: readonly AnyCall[]): Generator<SliceItem<AnyCall>> {
  for (let round = 0; ; round++) {
    const left = calls.filter(call => call.next + round < call.windows.length);
    if (left.length === 0) return;
    for (const call of left) yield { call, position: call.next + round };
  }
}
