import { expect, test } from "vitest";
import { append } from "./lists.js";

test("append adds more items than a call takes arguments", () => {
  const list = [1];
  append(list, new Set([2, 3]));
  append(list, Array(200_000).fill(4));
  expect(list.slice(0, 4)).toEqual([1, 2, 3, 4]);
  expect(list.length).toBe(200_003);
});
