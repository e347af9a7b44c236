import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSmallModel } from "../../tests/small-model.js";
import { readModelFolder } from "../formats/model-folder.js";
import { writePeftAdapter } from "../formats/peft.js";
import type { HostTensor } from "../tensor/dtype.js";
import { mergeTarget } from "../verbs/merge.js";
import { loadTarget } from "../verbs/target.js";
import { AdapterSet } from "./adapter-set.js";

let root = "";
const at = (name: string): string => path.join(root, name);
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-untied-"));
  await writeSmallModel(at("tied"), { numLayers: 1, change: (tensors) => void tensors.delete("lm_head.weight") });
  const config = JSON.parse(await readFile(at("tied/config.json"), "utf8"));
  await writeFile(at("tied/config.json"), JSON.stringify({ ...config, tie_word_embeddings: true }));
});
afterAll(() => rm(root, { recursive: true }));

const TABLE = "model.embed_tokens.weight";

/** Writes an adapter that holds these in full. */
async function saving(name: string, saved: Readonly<Record<string, HostTensor>>): Promise<void> {
  const rest = { baseModel: null, rank: 2, alpha: 2, dropout: 0, useRslora: false, targetModules: [] };
  await writePeftAdapter(at(name), { ...rest, layers: new Map(), modulesToSave: new Map(Object.entries(saved)) });
}

test("an adapter that changes one of two tied weights unties them, in merged folders too", async () => {
  const { tensors } = await readModelFolder(at("tied"));
  const table = tensors.get(TABLE)!;
  const changed = { ...table, data: (table.data as Float32Array).map((value) => value + 1) };
  await saving("one", { [TABLE]: changed });
  const { model } = await loadTarget(at("one"), { base: at("tied"), adapter: true });
  expect(model.embedTokens.weight.values).toEqual(changed.data);
  expect(model.headWeight.values).toEqual(table.data);
  await mergeTarget(at("one"), { out: at("merged"), base: at("tied"), dtype: "float32", verify: false });
  const merged = await readModelFolder(at("merged"));
  expect(merged.config.tie_word_embeddings).toBe(false);
  expect([merged.tensors.get(TABLE)!.data, merged.tensors.get("lm_head.weight")!.data]).toEqual([
    changed.data,
    table.data,
  ]);
  const set = await AdapterSet.open(at("tied"));
  await expect(set.load("one", at("one"))).rejects.toThrow("which this base ties; use it by itself, or merge it");

  await saving("both", { [TABLE]: changed, "lm_head.weight": changed });
  const tied = (await loadTarget(at("both"), { base: at("tied"), adapter: true })).model;
  expect(tied.headWeight).toBe(tied.embedTokens.weight);
});
