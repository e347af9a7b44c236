import path from "node:path";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { TEXT, writeSmallModel } from "../small-model.js";
import { type Area, train } from "./bad-input.js";
import { UP_PROJ } from "./faulty-models.js";

export const models: Area = {
  title: "Models and weight files",
  rows: [
    {
      name: "train: a model that does not exist",
      args: train("--model", "models/nowhere"),
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
      name: "a folder that is nothing we know",
      args: ["inspect", "notes"],
      files: { "notes/readme.txt": "hello" },
      says: ["notes is none of what can be inspected", "config.json"],
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
      name: "merge: a value that float16 cannot hold",
      args: ["merge", "float", "--dtype", "float16", "--out", "merged"],
      prepare: async (cwd) => {
        const change = (tensors: Map<string, HostTensor>) => void tensors.get(UP_PROJ)!.data.fill(-1e5, 3, 4);
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1, change });
      },
      says: [`tensor "${UP_PROJ}" holds -100000, which F16 cannot hold`, "write it as bfloat16"],
      code: 3,
    },
  ],
};
