import path from "node:path";
import { resolveSettings } from "../../src/config/resolve.js";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { train } from "../../src/training/train.js";
import { TEXT, writeSmallModel } from "../small-model.js";
import { type Area, train as trainLine } from "./bad-input.js";
import { UP_PROJ } from "./faulty-models.js";

const model = (cwd: string): Promise<void> => writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });

async function fullRun(cwd: string): Promise<void> {
  const files = { model: path.join(cwd, "float"), data: path.join(cwd, "a.txt"), out: path.join(cwd, "run") };
  const sizes = { method: "full", sequenceLength: 16, batchSize: 2, maxSteps: 1, evalTokens: 50, sampleTokens: 0 };
  await model(cwd);
  await train(resolveSettings({ flags: { ...sizes, ...files } }));
}

export const exports: Area = {
  title: "Exporting",
  rows: [
    {
      name: "export: no format",
      args: ["export", "float", "--out", "out"],
      prepare: model,
      says: ["--to is missing"],
      code: 2,
    },
    {
      name: "export: a folder that holds something",
      args: ["export", "float", "--to", "hf", "--out", "photos"],
      alike: [["export", "float", "--to", "onnx", "--out", "photos"]],
      files: { "photos/1.jpg": "" },
      prepare: model,
      says: ["photos is not empty", "name another folder"],
      code: 2,
    },
    {
      name: "export: a folder inside of the model",
      args: ["export", "float", "--to", "hf", "--out", "float/out"],
      alike: [
        ["export", "float", "--to", "onnx", "--out", "float/out"],
        ["export", "float", "--to", "peft", "--out", "float/out"],
        ["merge", "float", "--out", "float/out"],
        ["quantize", "float", "--to", "nf4", "--out", "float/out"],
      ],
      prepare: model,
      says: ["float/out is inside of float, which is read", "name a folder elsewhere"],
      code: 2,
    },
    {
      name: "export: a folder inside of a run",
      args: ["merge", "float", "--out", "run/out"],
      alike: [
        ["tokenizer", "train", "a.txt", "--out", "run/out"],
        trainLine("--out", "run/out"),
        [
          "train",
          "--data",
          "a.txt",
          "--model",
          "tiny",
          "--max-steps",
          "4",
          "--sweep",
          "lr=1e-3,1e-4",
          "--out",
          "run/out",
        ],
      ],
      files: { "a.txt": TEXT, "run/config.resolved.json": "{}" },
      prepare: model,
      says: ["run/out is inside of", "run, the folder of a run", "name a folder elsewhere"],
      code: 2,
    },
    {
      name: "export: an empty name of a folder",
      args: ["export", "float", "--to", "hf", "--out", ""],
      alike: [["tokenizer", "train", "a.txt", "--out", ""], trainLine("--out", "")],
      files: { "a.txt": TEXT },
      prepare: model,
      says: ["--out: must be the path of a folder"],
      code: 2,
    },
    {
      name: "export: a place where no folder can be made",
      args: ["export", "float", "--to", "hf", "--out", "/proc/out"],
      alike: [["tokenizer", "train", "a.txt", "--out", "/proc/out"], trainLine("--out", "/proc/out")],
      files: { "a.txt": TEXT },
      prepare: model,
      says: ["cannot write in /proc: it takes no folders; choose another path"],
      code: 3,
    },
    {
      name: "export: an adapter of a whole model",
      args: ["export", "float", "--to", "peft", "--out", "out"],
      prepare: model,
      says: ["float is a whole model", "--to hf"],
      code: 2,
    },
    {
      name: "export: an adapter of a run that trained every weight",
      args: ["export", "run", "--to", "peft", "--out", "out"],
      files: { "a.txt": TEXT },
      prepare: fullRun,
      says: ["run trained every weight (method full)", "--to hf"],
      code: 2,
    },
    {
      name: "export: a type for an adapter",
      args: ["export", "float", "--to", "peft", "--dtype", "float16", "--out", "out"],
      prepare: model,
      says: ["--dtype is for --to hf and onnx", "leave it out"],
      code: 2,
    },
    {
      name: "export: a type that ONNX files do not hold",
      args: ["export", "float", "--to", "onnx", "--dtype", "bfloat16", "--out", "out"],
      prepare: model,
      says: ["--dtype: ONNX files hold float32 or float16"],
      code: 2,
    },
    {
      name: "export: a value that float16 cannot hold",
      args: ["export", "float", "--to", "onnx", "--dtype", "float16", "--out", "out"],
      prepare: async (cwd) => {
        const change = (tensors: Map<string, HostTensor>) => void tensors.get(UP_PROJ)!.data.fill(1e5, 3, 4);
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1, change });
      },
      says: [`tensor "${UP_PROJ}" holds 100000, which F16 cannot hold`, "write it as float32 or bfloat16"],
      code: 3,
    },
    {
      name: "inspect: an ONNX file that is none",
      args: ["inspect", "model.onnx"],
      files: { "model.onnx": "this is text, not a model" },
      says: ["model.onnx is not an ONNX model, or is damaged", "export it again"],
      code: 3,
    },
  ],
};
