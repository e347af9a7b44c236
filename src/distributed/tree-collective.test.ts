import { expect, test } from "vitest";
import { bytesOf } from "../base/arrays.js";
import { Rng } from "../tensor/random.js";
import type { Floats } from "./addition.js";
import type { Collective } from "./collective.js";
import { memoryTransports } from "./memory-transport.js";
import { TreeCollective } from "./tree-collective.js";

const SIZES = [1, 2, 3, 4, 5, 7, 8];

/** What each rank of a job of `size` gets from `work`, by rank. */
function onEach<T>(size: number, work: (ranks: Collective) => Promise<T>): Promise<T[]> {
  return Promise.all(memoryTransports(size).map((transport) => work(new TreeCollective(transport))));
}

/** ((r0 + r1) + (r2 + r3)) + …, after the ranks beyond the largest power of two are added to those below it. */
function treeSum(parts: readonly Floats[]): Floats {
  const power = 2 ** Math.floor(Math.log2(parts.length));
  let level = parts
    .slice(0, power)
    .map((part, rank) => (power + rank < parts.length ? sum(part, parts[power + rank]!) : part));
  while (level.length > 1) level = level.filter((_, i) => i % 2 === 0).map((part, i) => sum(part, level[2 * i + 1]!));
  return level[0]!;
}

/** The rounding of either type happens where the sum is stored. */
function sum(a: Floats, b: Floats): Floats {
  return a.map((value, i) => value + b[i]!) as Floats;
}

/** What each of up to eight ranks adds, by rank. */
const PARTS = [Float32Array, Float64Array].flatMap((Type) =>
  [0, 1, 2, 3, 1000, 100_003].map((length) =>
    Array.from({ length: Math.max(...SIZES) }, (_, rank) => {
      const rng = new Rng(rank);
      return new Type(length).map(() => rng.normal()) as Floats;
    }),
  ),
);

test.each(SIZES)("the sums over %i ranks have the bits of the tree, on each of them", async (size) => {
  for (const all of PARTS) {
    const parts = all.slice(0, size);
    const wanted = treeSum(parts);
    const sums = await onEach(size, async (ranks) => {
      const values = parts[ranks.rank]!.slice();
      await ranks.sum(values);
      return values;
    });
    for (const each of sums) expect(Buffer.compare(bytesOf(each), bytesOf(wanted))).toBe(0);
  }
});

test("the tree differs from a sum in order, so the test above can tell them apart", () => {
  const parts = PARTS.find(([first]) => first!.length === 1000)!.slice(0, 4);
  expect(treeSum(parts)).not.toEqual(parts.reduce(sum));
});

test("a part of a larger array is summed in place, and what lies beside it stays", async () => {
  const arrays = await onEach(3, async (ranks) => {
    const all = new Float32Array(7).fill(ranks.rank + 1);
    await ranks.sum(all.subarray(1, 6));
    return [...all];
  });
  expect(arrays).toEqual([1, 2, 3].map((own) => [own, 6, 6, 6, 6, 6, own]));
});

test.each([2, 4, 8])("each of %i ranks sends 2 (N - 1) / N of the values", async (size) => {
  const sent = await onEach(size, async (ranks) => {
    await ranks.sum(new Float32Array(8000));
    return ranks.sentBytes;
  });
  expect(sent).toEqual(sent.map(() => (2 * (size - 1) * 4 * 8000) / size));
});

test.each(SIZES)("%i ranks gather values of different numbers", async (size) => {
  const own = (rank: number): Int32Array => Int32Array.from({ length: (rank * 3) % 7 }, (_, i) => 100 * rank - i);
  const gathered = await onEach(size, (ranks) => ranks.gather(own(ranks.rank)));
  for (const each of gathered) expect(each).toEqual(Array.from({ length: size }, (_, rank) => own(rank)));
});

test.each(SIZES)("%i ranks get the bytes of rank 0, whatever they have", async (size) => {
  for (const length of [0, 1, 1000]) {
    const bytesOfFirst = Uint8Array.from({ length }, (_, i) => i);
    const got = await onEach(size, (ranks) => ranks.broadcast(ranks.rank === 0 ? bytesOfFirst : new Uint8Array(5)));
    for (const each of got) expect(each).toEqual(bytesOfFirst);
  }
});

test.each(SIZES)("none of %i ranks leaves a barrier, nor the job, before all have come", async (size) => {
  for (const meet of [(ranks: Collective) => ranks.barrier(), (ranks: Collective) => ranks.close()]) {
    for (let late = 0; late < size; late++) {
      let come = 0;
      await onEach(size, async (ranks) => {
        if (ranks.rank === late) await new Promise((resolve) => setImmediate(resolve));
        come++;
        await meet(ranks);
        expect(come).toBe(size);
      });
    }
  }
});

test("several exchanges follow one another, as in a training step", async () => {
  const [first, ...others] = await onEach(5, async (ranks) => {
    const gradient = new Float32Array(1001).fill(ranks.rank);
    const losses = new Float64Array(3).fill(ranks.rank);
    await Promise.resolve(ranks.rank % 2);
    await ranks.sum(gradient);
    await ranks.sum(losses);
    const [rows] = await ranks.gather(Int32Array.of(ranks.rank));
    return { gradient: gradient[1000], loss: losses[2], rows, text: await ranks.broadcast(Uint8Array.of(ranks.rank)) };
  });
  expect(first).toEqual({ gradient: 10, loss: 10, rows: Int32Array.of(0), text: Uint8Array.of(0) });
  for (const each of others) expect(each).toEqual(first);
});

test("in memory, a message that does not fit is an error", async () => {
  const [a, b] = memoryTransports(2) as [
    ReturnType<typeof memoryTransports>[0],
    ReturnType<typeof memoryTransports>[0],
  ];
  await a.exchange({ send: { to: 1, bytes: new Uint8Array(3) } });
  await expect(b.exchange({ receive: { from: 0, bytes: new Uint8Array(2) } })).rejects.toThrow(
    "rank 1 gets 3 bytes from rank 0, and makes room for 2",
  );
});
