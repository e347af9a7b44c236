import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { readSafetensors, writeSafetensors } from "../../../src/files/safetensors.js";
import { hashModelFolder } from "../../../src/formats/base-hash.js";
import { companionFiles } from "../../../src/loading/companions.js";
import { loadModel } from "../../../src/loading/folder-source.js";
import { writeSmallModel } from "../../small-model.js";
import { expectThat, type FuzzTarget } from "../target.js";

/** Writes the weights of a model folder anew, in two shards with an index. */
async function shard(folder: string): Promise<void> {
  const whole = path.join(folder, "model.safetensors");
  const { tensors } = await readSafetensors(whole);
  const names = [...tensors.keys()];
  const files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const fileOf = (name: string): string => files[names.indexOf(name) % 2]!;
  await rename(whole, path.join(folder, files[1]!));
  for (const file of files) {
    const part = [...tensors].filter(([name]) => fileOf(name) === file);
    await writeSafetensors(path.join(folder, file), new Map(part));
  }
  const index = {
    metadata: { total_size: 1 },
    weight_map: Object.fromEntries(names.map((name) => [name, fileOf(name)])),
  };
  await writeFile(path.join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}

export const modelFolder: FuzzTarget = {
  name: "model folder",
  sources: ["formats/model-folder", "files/json-file", "files/pickle", "models/llama-config", "loading/model-source"],
  writeSamples: async (folder) => {
    await writeSmallModel(path.join(folder, "whole"), { numLayers: 1, fileType: "BF16" });
    await writeSmallModel(path.join(folder, "sharded"), { numLayers: 1 });
    await shard(path.join(folder, "sharded"));
    const config = path.join(folder, "sharded", "config.json");
    const json = JSON.parse(await readFile(config, "utf8"));
    await writeFile(
      config,
      JSON.stringify({
        ...json,
        num_key_value_heads: 2,
        rope_scaling: null,
        rope_parameters: { rope_theta: 1e4, rope_type: "default" },
      }),
    );
  },
  run: async (folder) => {
    await hashModelFolder(folder);
    const model = await loadModel(folder);
    expectSound("config", model.config);
    await companionFiles(folder);
  },
};

/** What is left out is undefined, an activation a function, and how positions are stretched an object of its own. */
function expectSound(name: string, value: unknown): void {
  if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) expectSound(`${name}.${key}`, inner);
    return;
  }
  const isKind = name.endsWith(".kind") && typeof value === "string";
  const types = ["number", "boolean", "undefined", "function"];
  expectThat(isKind || value === null || types.includes(typeof value), `${name} is a ${typeof value}`);
  expectThat(typeof value !== "number" || (Number.isFinite(value) && value >= 0), `${name} is ${value}`);
}
