import { expect, test } from "vitest";
import { halving } from "./halving.ts";

const reasonOf = (error: unknown) => (error instanceof RangeError ? error.message : undefined);

async function run(items: readonly number[], bad: readonly number[]) {
  const found = { done: [] as number[], unfit: [] as [number, string][], calls: 0 };
  await halving(
    items,
    async (some) => {
      found.calls++;
      if (some.includes(-1)) throw new Error("the server is gone");
      const culprit = some.find((item) => bad.includes(item));
      if (culprit !== undefined) throw new RangeError(`not ${culprit}`);
      return some.map((item) => item * 2);
    },
    reasonOf,
    {
      done: (_some, doubled) => found.done.push(...doubled),
      unfit: (item, reason) => found.unfit.push([item, reason]),
    },
  );
  return found;
}

test("one item that does not fit does not hide the others, which come in their order", async () => {
  const items = Array.from({ length: 100 }, (_, i) => i);
  expect(await run(items, [])).toMatchObject({ calls: 1, unfit: [] });
  const { done, unfit } = await run(items, [7, 99]);
  expect(unfit).toEqual([
    [7, "not 7"],
    [99, "not 99"],
  ]);
  expect(done).toEqual(items.filter((item) => item !== 7 && item !== 99).map((item) => item * 2));
  expect(await run([3], [3])).toMatchObject({ done: [], unfit: [[3, "not 3"]] });
  expect(await run([], [])).toMatchObject({ calls: 0 });
});

test("a failure that lies in no item is thrown", async () => {
  await expect(run([1, -1, 2], [2])).rejects.toThrow("the server is gone");
});
