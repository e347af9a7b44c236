import { expect, test } from "vitest";
import { mapInOrder } from "./in-order.js";

async function* items(count: number): AsyncGenerator<number, void> {
  for (let item = 0; item < count; item++) yield item;
}

test("results keep the order of their items, and no more than so many are under way", async () => {
  let [underWay, most] = [0, 0];
  const results = mapInOrder(items(9), 3, async (item) => {
    most = Math.max(most, ++underWay);
    // Later ones end first.
    for (let turn = 0; turn < 20 - 2 * item; turn++) await Promise.resolve();
    underWay--;
    return item * item;
  });
  const squares: number[] = [];
  for await (const result of results) squares.push(result);
  expect(squares).toEqual([0, 1, 4, 9, 16, 25, 36, 49, 64]);
  expect(most).toBe(3);
});

test("a fault comes when its turn comes", async () => {
  const seen: number[] = [];
  const results = mapInOrder(items(9), 4, async (item) => {
    if (item >= 2) throw new Error(`fault of ${item}`);
    return item;
  });
  const all = async (): Promise<void> => {
    for await (const result of results) seen.push(result);
  };
  await expect(all()).rejects.toThrow("fault of 2");
  expect(seen).toEqual([0, 1]);
});
