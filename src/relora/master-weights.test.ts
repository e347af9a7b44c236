import { existsSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import "../runtime/evaluate.js";
import { addTerms, type LowRankTerm } from "../adapters/low-rank-term.js";
import { normal } from "../nn/initializers.js";
import { Rng } from "../tensor/random.js";
import { type Delta, sumsPath, truncateDeltas } from "./delta-log.js";
import { pairsOf } from "./delta-terms.js";
import { MasterWeights, type WrittenFolder } from "./master-weights.js";

const [OUT, IN, RANK, SCALING] = [30, 50, 2, 0.5];
const LAYER = "model.layers.0.mlp.up_proj";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-master-"));
});
afterAll(() => rm(folder, { recursive: true }));

const draw = (name: string, shape: readonly [number, number]): Float32Array => normal(shape, 1, new Rng(3, name));

function termOf(cycle: number): LowRankTerm {
  const [loraA, loraB] = [draw(`A${cycle}`, [RANK, IN]), draw(`B${cycle}`, [OUT, RANK])];
  return { rank: RANK, scaling: SCALING, loraA, loraB };
}

function deltaOf(cycle: number): Delta {
  return { cycle, step: 4 * cycle, scaling: SCALING, layers: pairsOf(new Map([[LAYER, termOf(cycle)]])) };
}

function movable(at: string): WrittenFolder & { path: string } {
  const share = <T>(work: (path: string) => Promise<T>): Promise<T> => work(run.path);
  const run = { path: at, share, tidy: share<void> };
  return run;
}

const cycles = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

test("after many cycles, which no merge reads again, the weights are the same to the bit", async () => {
  const run = movable(path.join(folder, "many"));
  const weights = draw("base", [OUT, IN]);
  const master = new MasterWeights(run, { base: async () => weights, held: null });
  for (const cycle of cycles(20)) {
    await master.log(deltaOf(cycle));
    const expected = await addTerms(weights, cycles(cycle).map(termOf));
    expect(await master.weight(LAYER)).toEqual(expected);
    expect(master.summedRank(LAYER)).toBe(cycle * RANK);
    // 160 numbers a cycle, 1500 of the weight.
    expect(existsSync(sumsPath(run.path))).toBe(cycle >= 3);
    expect((await master.terms(LAYER))?.length).toBe(cycle >= 3 ? undefined : cycle);
  }

  const moved = path.join(folder, "moved");
  await rename(run.path, moved);
  run.path = moved;
  const all = await addTerms(weights, cycles(20).map(termOf));
  expect(await master.weight(LAYER)).toEqual(all);
  await master.log(deltaOf(21));
  const more = await addTerms(all, [termOf(21)]);
  expect(await master.weight("a layer without an adapter")).toBe(weights);
  // All cycles are in a sum: they are not read again.
  await truncateDeltas(moved, 0);
  expect(await master.weight(LAYER)).toEqual(more);
  await master.release();
  expect(existsSync(sumsPath(run.path))).toBe(false);
});

test("without room for the sums, and for readers, who write nothing, each cycle is added", async () => {
  const run = movable(path.join(folder, "none"));
  const weights = draw("base", [OUT, IN]);
  const base = async (): Promise<Float32Array> => weights;
  const master = new MasterWeights(run, { base, held: null }, { freeBytes: async () => 10 });
  for (const cycle of cycles(5)) await master.log(deltaOf(cycle));
  const reader = new MasterWeights(run, { base, held: null });
  for (const cycle of cycles(5)) await reader.append(cycle);
  const expected = await addTerms(weights, cycles(5).map(termOf));
  expect(await master.weight(LAYER)).toEqual(expected);
  expect(await reader.weight(LAYER)).toEqual(expected);
  expect(existsSync(sumsPath(run.path))).toBe(false);
});

test("weights that a model holds in float32 itself are its own", async () => {
  const run = movable(path.join(folder, "held"));
  const weights = draw("base", [OUT, IN]);
  const held = weights.map((value) => value + 1);
  const master = new MasterWeights(run, { base: async () => weights, held: async () => held });
  for (const cycle of cycles(5)) await master.log(deltaOf(cycle));
  expect(await master.weight(LAYER)).toBe(held);
  expect(await master.terms(LAYER)).toBeNull();
  expect(existsSync(sumsPath(run.path))).toBe(false);
});
