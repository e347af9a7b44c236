import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { readSafetensors, writeSafetensors } from "../files/safetensors.js";
import type { HostTensor } from "../tensor/dtype.js";
import { appendDelta, type Delta, loggedCycles, readDeltas, truncateDeltas } from "./delta-log.js";

let run = "";
const runs: string[] = [];
beforeEach(async () => {
  run = await mkdtemp(path.join(tmpdir(), "highrank-deltas-"));
  runs.push(run);
});
afterAll(async () => Promise.all(runs.map((one) => rm(one, { recursive: true }))));

const matrix = (rows: number, columns: number, value: number): HostTensor => ({
  dtype: "float32",
  shape: [rows, columns],
  data: new Float32Array(rows * columns).fill(value),
});
const delta = (cycle: number): Delta => ({
  cycle,
  step: cycle * 100 + 1,
  scaling: 0.1 / 3,
  layers: new Map([["model.layers.0.mlp.up_proj", { loraA: matrix(2, 3, cycle), loraB: matrix(4, 2, -cycle) }]]),
});

async function all(checksums?: readonly string[]): Promise<Delta[]> {
  const deltas: Delta[] = [];
  for await (const one of readDeltas(run, checksums)) deltas.push(one);
  return deltas;
}

test("cycles are read in order with the exact scaling, all or those whose checksums are given", async () => {
  expect(await all()).toEqual([]);
  const checksums: string[] = [];
  for (const cycle of [1, 2, 3]) checksums.push(await appendDelta(run, delta(cycle)));
  expect(await all()).toEqual([delta(1), delta(2), delta(3)]);
  expect(await all(checksums.slice(0, 2))).toEqual([delta(1), delta(2)]);
  expect(await all([])).toEqual([]);
  await expect(all([...checksums, "0"])).rejects.toThrow("lacks cycle 4 of the 4 that the checkpoint builds on");
  const [first, second] = checksums as [string, string];
  await expect(all([second, first])).rejects.toThrow("cycle-000001.safetensors is not the file that");
});

test("ranks may differ between cycles and between layers", async () => {
  const up = "model.layers.0.mlp.up_proj";
  const twice: Delta = {
    ...delta(2),
    layers: new Map([
      [up, { loraA: matrix(4, 3, 2), loraB: matrix(4, 4, 3) }],
      ["model.layers.0.mlp.down_proj", { loraA: matrix(1, 4, 5), loraB: matrix(3, 1, 6) }],
    ]),
  };
  await appendDelta(run, delta(1));
  await appendDelta(run, twice);
  expect(await all()).toEqual([delta(1), twice]);
});

test("a cycle lies in a file of its own under PEFT's names", async () => {
  await appendDelta(run, delta(1));
  expect(await readdir(path.join(run, "deltas"))).toEqual(["cycle-000001.safetensors"]);
  const { tensors, metadata } = await readSafetensors(path.join(run, "deltas", "cycle-000001.safetensors"));
  expect([...tensors.keys()]).toEqual([
    "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
    "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight",
  ]);
  expect(metadata).toEqual({ format: "pt", cycle: "1", step: "101", scaling: "0.03333333333333333" });
});

test("only the next cycle is appended, and after going back the log goes on from there", async () => {
  await expect(appendDelta(run, delta(2))).rejects.toThrow("ends with cycle 0, so the next must be 1, not 2");
  for (const cycle of [1, 2, 3]) await appendDelta(run, delta(cycle));
  await expect(appendDelta(run, delta(3))).rejects.toThrow(
    "ends with cycle 3, so the next must be 4, not 3, as the state of the run says",
  );
  await truncateDeltas(run, 1);
  expect(await loggedCycles(run)).toEqual([1]);
  await appendDelta(run, delta(2));
  expect(await loggedCycles(run)).toEqual([1, 2]);
});

test("a gap is found before anything is read", async () => {
  for (const cycle of [1, 2, 3]) await appendDelta(run, delta(cycle));
  await rm(path.join(run, "deltas", "cycle-000002.safetensors"));
  await expect(all()).rejects.toThrow(CheckpointError);
  await expect(all()).rejects.toThrow("cycle 2 is missing before 3");
});

test("a file in another's place, or one that is no delta, is named with its faults", async () => {
  for (const cycle of [1, 2]) await appendDelta(run, delta(cycle));
  const [first, second] = [1, 2].map((cycle) => path.join(run, "deltas", `cycle-00000${cycle}.safetensors`)) as [
    string,
    string,
  ];
  await rename(second, first);
  await expect(all()).rejects.toThrow("it holds cycle 2 instead of 1");
  await writeSafetensors(
    first,
    new Map([
      ["base_model.model.p.lora_A.weight", matrix(2, 3, 1)],
      ["base_model.model.p.lora_B.weight", matrix(4, 3, 1)],
    ]),
    { cycle: "1", scaling: "" },
  );
  await expect(all()).rejects.toThrow(
    /3 faults\n.*"step" must be a number of 0 or more, without a fraction, not missing\n.*"scaling" must be a number, not ""\n.*p: lora_A float32 of shape \(2, 3\)/,
  );
});
