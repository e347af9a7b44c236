import { expect, test } from "vitest";
import { cpuCount } from "#platform";
import { machineShare, shareOf } from "./machine-share.js";
import { memoryTransports } from "./memory-transport.js";
import { TreeCollective } from "./tree-collective.js";

/** The threads of each rank, from machine and first and last core of each. */
function threads(...places: readonly (readonly [machine: number, first: number, last: number])[]): number[] {
  const lists = places.map(([machine, first, last]) =>
    Int32Array.of(machine, ...Array.from({ length: last - first + 1 }, (_, i) => first + i)),
  );
  return lists.map((_, rank) => shareOf(rank, lists).threads);
}

test("ranks that are bound get their cores, and others divide those that they share", () => {
  expect(threads([7, 0, 0], [7, 1, 1])).toEqual([1, 1]);
  expect(threads([7, 0, 15], [7, 0, 15])).toEqual([8, 8]);
  // Two to each of two sockets.
  expect(threads([7, 0, 15], [7, 0, 15], [7, 16, 31], [7, 16, 31])).toEqual([8, 8, 8, 8]);
  expect(threads([7, 0, 8], [7, 0, 8], [7, 0, 8])).toEqual([3, 3, 3]);
  expect(threads([7, 0, 3], [7, 2, 5])).toEqual([3, 3]);
});

test("ranks of other machines share nothing, and each rank has at least one thread", () => {
  expect(threads([7, 0, 3], [8, 0, 3], [8, 0, 3])).toEqual([4, 2, 2]);
  expect(threads([7, 0, 1], [7, 0, 1], [7, 0, 1])).toEqual([1, 1, 1]);
});

test("the ranks of one process share its cores", async () => {
  const shares = await Promise.all(memoryTransports(2).map((transport) => machineShare(new TreeCollective(transport))));
  const threads = Math.max(1, Math.floor(cpuCount() / 2));
  expect(shares).toEqual([
    { threads, ranks: 2 },
    { threads, ranks: 2 },
  ]);
});
