import { expect, test } from "vitest";
import { type Gradient, RowGradient, readGradient } from "../optim/gradient.js";
import { type Gradients, shareOf, sumAsTree } from "./shared-gradients.js";

const WIDTH = 3;
const ROWS = 7;

/** Gradients of a micro-batch, with sums that depend on their order. */
function gradientsOf(batch: number): Gradients {
  const value = (i: number): number => Math.fround(Math.sin(12.9898 * i + 78.233 * batch) * 10 ** (batch % 4));
  const indices = Int32Array.of(batch % ROWS, (3 * batch + 1) % ROWS);
  const rows = Float32Array.from({ length: 2 * WIDTH }, (_, i) => value(i + 100));
  return new Map<string, Gradient>([
    ["dense", Float32Array.from({ length: 10 }, (_, i) => value(i))],
    ["rows", new RowGradient(indices, rows, ROWS * WIDTH)],
  ]);
}

function entries(gradients: Gradients): number[][] {
  return [...gradients.values()].map((gradient) => [...readGradient(gradient)]);
}

function added(left: number[][], right: number[][]): number[][] {
  return left.map((values, k) => values.map((value, i) => Math.fround(value + right[k]![i]!)));
}

test.each([1, 2, 3, 4, 6, 8])("%i micro-batches are added up as halves of halves, in order", async (count) => {
  const order: number[] = [];
  const sum = await sumAsTree(0, count, async (i) => {
    order.push(i);
    return gradientsOf(i);
  });
  const tree = (first: number, end: number): number[][] => {
    if (end - first === 1) return entries(gradientsOf(first));
    const middle = Math.floor((first + end) / 2);
    return added(tree(first, middle), tree(middle, end));
  };
  expect(order).toEqual(Array.from({ length: count }, (_, i) => i));
  expect(entries(sum)).toEqual(tree(0, count));
});

test.each([2, 4])("shares of %i ranks, added up as a tree, are the sum of one", async (size) => {
  const whole = entries(await sumAsTree(0, 12, async (i) => gradientsOf(i)));
  const parts: number[][][] = [];
  for (let rank = 0; rank < size; rank++) {
    const [first, end] = shareOf(12, { rank, size });
    parts.push(entries(await sumAsTree(first, end, async (i) => gradientsOf(i))));
  }
  while (parts.length > 1) {
    const pairs = parts.splice(0);
    for (let i = 0; i < pairs.length; i += 2) parts.push(added(pairs[i]!, pairs[i + 1]!));
  }
  expect(parts[0]).toEqual(whole);
});
