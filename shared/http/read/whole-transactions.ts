/**
 * Passes on whole transactions while they fit into `limit` items together; the first one always, whatever its size.
 * The stream must end between transactions. Holds at most `limit` items.
 */
export async function* wholeTransactions<T extends { readonly begins: boolean }>(
  items: AsyncIterable<T>,
  limit: number,
): AsyncGenerator<T> {
  let transactions = 0;
  let passed = 0;
  let held: T[] = [];
  for await (const item of items) {
    if (item.begins) {
      yield* held;
      passed += held.length;
      held = [];
      transactions++;
      if (passed >= limit) return;
    }
    if (transactions === 1) {
      passed++;
      yield item;
    } else {
      held.push(item);
      if (passed + held.length > limit) return;
    }
  }
  yield* held;
}
