import path from "node:path";
import { writeModelFolder } from "../../src/formats/model-folder.js";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { TEXT, writeSmallModel } from "../small-model.js";
import { type Area, train } from "./bad-input.js";
import { UP_PROJ } from "./faulty-models.js";

/** Writes the folder `model` with that config.json. */
async function writeConfigured(cwd: string, config: Readonly<Record<string, unknown>>): Promise<void> {
  const tensors = new Map([["a", { dtype: "float32", shape: [1], data: new Float32Array(1) } as const]]);
  await writeModelFolder(path.join(cwd, "model"), { config, tensors });
}

export const models: Area = {
  title: "Models and weight files",
  rows: [
    {
      name: "train: a model that does not exist",
      args: train("--model", "./models/nowhere"),
      files: { "a.txt": TEXT },
      says: ["models/nowhere must be a model folder"],
      code: 3,
    },
    {
      name: "a target that does not exist",
      args: ["generate", "nowhere"],
      alike: [["merge", "nowhere", "--out", "merged"]],
      says: ["nowhere must be a model folder"],
      code: 3,
    },
    {
      name: "eval: a target that is no model",
      args: ["eval", "photos", "--data", "a.txt"],
      files: { "a.txt": TEXT, "photos/1.jpg": "" },
      says: ["photos must hold model.safetensors"],
      code: 3,
    },
    {
      name: "nothing to inspect at a path",
      args: ["inspect", "nowhere"],
      says: ["nowhere: there is no such file or folder"],
      code: 3,
    },
    {
      name: "a folder of an unknown kind",
      args: ["inspect", "notes"],
      files: { "notes/readme.txt": "hello" },
      says: ["notes cannot be inspected; it must be", "config.json"],
      code: 3,
    },
    {
      name: "a text file where weights must be",
      args: ["inspect", "model.safetensors"],
      files: { "model.safetensors": "this is text, not weights" },
      says: ["model.safetensors is not a safetensors file"],
      code: 3,
    },
    {
      name: "weights as pickles",
      args: ["inspect", "pytorch_model.bin"],
      files: { "pytorch_model.bin": "\u0080\u0002}" },
      says: ["Python pickles", "safe_serialization=True"],
      code: 3,
    },
    {
      name: "a model of an architecture that is not supported",
      args: ["eval", "model", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: (cwd) => writeConfigured(cwd, { model_type: "mamba" }),
      says: ['model_type is "mamba", which is not supported; supported are llama'],
      code: 3,
    },
    {
      name: "a model that reads images",
      args: ["eval", "model", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: (cwd) => writeConfigured(cwd, { model_type: "gemma3", text_config: {} }),
      says: ["reads images too", 'save its text model alone, with model_type "gemma3_text"'],
      code: 3,
    },
    {
      name: "a model that mixes experts",
      args: ["eval", "model", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: (cwd) => writeConfigured(cwd, { model_type: "qwen3_moe" }),
      says: ['model_type is "qwen3_moe", which mixes experts', "take a model without them"],
      code: 3,
    },
    {
      name: "a stretching of positions that is not supported",
      args: ["eval", "model", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: (cwd) =>
        writeConfigured(cwd, {
          ...{ model_type: "phi3", vocab_size: 32_064, hidden_size: 3072, intermediate_size: 8192 },
          ...{ num_hidden_layers: 32, num_attention_heads: 32, rope_scaling: { type: "mrope" } },
        }),
      says: ['rope_scaling: type is "mrope", supported is "default", "longrope", "su", "yarn"'],
      code: 3,
    },
    {
      name: "a config that asks for something that is not supported",
      args: ["eval", "model", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: (cwd) => writeConfigured(cwd, { model_type: "gpt2", activation_function: "mish", n_head: 5 }),
      says: ['activation_function is "mish", supported is "gelu"', "n_embd (768) must be a multiple of n_head (5)"],
      code: 3,
    },
    {
      name: "merge: a value that float16 cannot hold",
      args: ["merge", "float", "--dtype", "float16", "--out", "merged"],
      prepare: async (cwd) => {
        const change = (tensors: Map<string, HostTensor>) => void tensors.get(UP_PROJ)!.data.fill(-1e5, 3, 4);
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1, change });
      },
      says: [`tensor "${UP_PROJ}" holds -100000, which F16 cannot hold`, "write it as float32 or bfloat16"],
      code: 3,
    },
  ],
};
