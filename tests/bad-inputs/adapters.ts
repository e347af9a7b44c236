import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { TEXT, writeSmallModel } from "../small-model.js";
import type { Area } from "./bad-input.js";
import { adapterFor, packed } from "./faulty-models.js";

export const adapters: Area = {
  title: "Adapters and merging",
  rows: [
    {
      name: "merge: no folder to write to, and an unknown dtype",
      args: ["merge", "float", "--base", "other", "--dtype", "int8"],
      says: ["--out is missing", "--dtype: must be one of float32, bfloat16, float16"],
      code: 2,
    },
    {
      name: "merge: a folder to write to that holds something",
      args: ["merge", "float", "--out", "photos"],
      files: { "photos/1.jpg": "" },
      prepare: (cwd) => writeSmallModel(path.join(cwd, "float"), { numLayers: 1 }),
      says: ["photos is not empty", "nothing in it is replaced"],
      code: 2,
    },
    {
      name: "merge: a base for a model folder",
      args: ["merge", "float", "--base", "float", "--out", "merged"],
      prepare: packed(),
      says: ["--base is for PEFT adapters; float is not one"],
      code: 2,
    },
    {
      name: "adapters for what has its own",
      args: ["eval", "adapter", "--base", "float", "--adapters", "adapter=0.5", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await adapterFor(cwd, "float", null);
      },
      says: ["--adapters is for models; adapter is a PEFT adapter", "name its base instead"],
      code: 2,
    },
    {
      name: "adapters beside --adapter none",
      args: ["eval", "float", "--adapters", "one", "--adapter", "none", "--data", "a.txt"],
      says: ["--adapters does not go with --adapter none", "leave one of them out"],
      code: 2,
    },
    {
      name: "merge: the weight of an adapter that is no number",
      args: ["merge", "float", "--adapters", "one=0.5,two=half", "--out", "merged"],
      says: ['--adapters: must be adapters with =WEIGHT, a number, or without, got "two=half"'],
      code: 2,
    },
    {
      name: "an adapter that was trained on another base",
      args: ["eval", "adapter", "--base", "float", "--data", "a.txt"],
      alike: [["merge", "adapter", "--base", "float", "--out", "merged"]],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await writeSmallModel(path.join(cwd, "other"), { numLayers: 1, seed: 1 });
        await adapterFor(cwd, "other", null);
      },
      says: ["adapter: was trained on weights with SHA-256", "but those of float have", "name the model"],
      code: 3,
    },
    {
      name: "adapters in folders of their own",
      args: ["eval", "several", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await adapterFor(cwd, "float", null);
        for (const name of ["one", "two"]) {
          await cp(path.join(cwd, "adapter"), path.join(cwd, "several", name), { recursive: true });
        }
      },
      says: ["several holds the adapters one, two in folders of their own", "name one of them, as several/one"],
      code: 3,
    },
    {
      name: "train: settings of an adapter that training goes on from",
      args: ["train", "--model", "float", "--adapter-from", "adapter", "--rank", "4", "--data", "a.txt"],
      says: ["--rank: is for adapters that start anew; --adapter-from keeps what its adapter has; leave it out"],
      code: 2,
    },
    {
      name: "train: going on from an adapter that trains what a run does not",
      args: ["train", "--model", "float", "--adapter-from", "adapter", "--method", "lora", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await adapterFor(cwd, "float", null);
        const fields = { peft_type: "LORA", r: 2, target_modules: ["up_proj"], velora_config: { num_groups: 64 } };
        await writeFile(path.join(cwd, "adapter/adapter_config.json"), JSON.stringify(fields));
      },
      says: ["training cannot go on from adapter: it trains with velora_config", "which a run does not"],
      code: 3,
    },
    {
      name: "an adapter whose config asks for what is not done",
      args: ["eval", "adapter", "--base", "float", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await adapterFor(cwd, "float", null);
        const fields = { peft_type: "LORA", r: 2, target_modules: "(?i).*UP_PROJ", init_lora_weights: "pissa" };
        await writeFile(path.join(cwd, "adapter/adapter_config.json"), JSON.stringify(fields));
      },
      says: ['init_lora_weights is "pissa"', "changes the base", "has (?i, which is not read"],
      code: 3,
    },
    {
      name: "merge: an adapter that does not fit its base",
      args: ["merge", "adapter", "--base", "float", "--out", "merged"],
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await adapterFor(cwd, "float", null);
        const file = path.join(cwd, "adapter/adapter_model.safetensors");
        await writeFile(file, (await readFile(file, "latin1")).replaceAll("layers.0", "layers.7"), "latin1");
      },
      says: ["the adapter does not fit its base", "the model has no linear layer model.layers.7.mlp.up_proj"],
      code: 3,
    },
    {
      name: "merge: an adapter whose numbers are too large",
      args: ["merge", "adapter", "--base", "float", "--out", "merged"],
      prepare: tooLarge,
      says: ['"model.layers.0.', "would hold ", "such as lora_alpha of an adapter"],
      code: 3,
    },
    {
      name: "eval: a model that computes numbers that are not finite",
      args: ["eval", "adapter", "--base", "float", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: tooLarge,
      says: ["adapter: the loss on a.txt is NaN"],
      code: 4,
    },
    {
      name: "generate: a model that computes numbers that are not finite",
      args: ["generate", "adapter", "--base", "float", "--prompt", "The cat"],
      prepare: tooLarge,
      says: ["the model computes scores of tokens that are not finite"],
      code: 4,
    },
  ],
};

async function tooLarge(cwd: string): Promise<void> {
  await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
  await adapterFor(cwd, "float", null);
  const file = path.join(cwd, "adapter", "adapter_config.json");
  const config = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...config, lora_alpha: 1e308 }));
}
