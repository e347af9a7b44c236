import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { TEXT, writeSmallModel } from "../small-model.js";
import { type Area, type BadInput, train } from "./bad-input.js";
import { notFinite, packed, quantState, shortened, UP_PROJ } from "./faulty-models.js";

export const quantization: Area = {
  title: "Quantized weights",
  rows: [
    {
      name: "quantize without a format and a folder",
      args: ["quantize", "model"],
      says: ["--to is missing", "--out is missing"],
      code: 2,
    },
    {
      name: "quantize: scales that int8 does not have, all reported at once",
      args: ["quantize", "model", "--to", "int8", "--double-quant", "--block-size", "64", "--out", "q"],
      says: ["--double-quant is for nf4 and fp4", "--block-size is for nf4 and fp4; int8 has a scale for each row"],
      code: 2,
    },
    {
      name: "quantize: a block size that is no power of two",
      args: ["quantize", "model", "--to", "nf4", "--block-size", "48", "--out", "q"],
      says: ["--block-size: must be a power of two from 16 to 4096, got 48"],
      code: 2,
    },
    {
      name: "quantize: a folder to write to that holds something",
      args: ["quantize", "float", "--to", "nf4", "--out", "float"],
      prepare: packed(),
      says: ["out: float is not empty", "name another folder"],
      code: 2,
    },
    {
      name: "quantize: a run folder",
      args: ["quantize", "run", "--to", "nf4", "--out", "q"],
      files: { "run/config.resolved.json": "{}" },
      says: ["run is a run folder; quantize its run/model"],
      code: 3,
    },
    {
      name: "quantize: a PEFT adapter",
      args: ["quantize", "adapter", "--to", "nf4", "--out", "q"],
      files: { "adapter/adapter_config.json": "{}" },
      says: ["adapter is a PEFT adapter; merge it into its base first"],
      code: 3,
    },
    {
      name: "quantize: a model that is quantized already",
      args: ["quantize", "packed", "--to", "int8", "--out", "q"],
      prepare: packed(),
      says: ["packed is quantized already (nf4 in blocks of 64)", "quantize the float model"],
      code: 3,
    },
    {
      name: "train: scales to quantize without a 4-bit format",
      args: train("--quantize", "int8", "--double-quant", "--method", "lora"),
      files: { "a.txt": TEXT },
      says: ["--double-quant: is for nf4 and fp4"],
      code: 2,
    },
    {
      name: "train: a format that is not that of the quantized folder",
      args: train("--model", "packed", "--quantize", "int8", "--method", "lora"),
      files: { "a.txt": TEXT },
      prepare: packed(),
      says: [
        "quantize: packed is quantized already (nf4 in blocks of 64), not with int8 by row",
        "leave --quantize out",
      ],
      code: 2,
    },
    {
      name: "train: all weights of a quantized folder",
      args: train("--model", "packed", "--quantize", "none", "--method", "full"),
      files: { "a.txt": TEXT },
      prepare: packed(),
      says: ["method: packed is quantized already", "use method lora or relora"],
      code: 2,
    },
    {
      name: "quantize: weights that are not finite, in 4 bits",
      args: ["quantize", "float", "--to", "nf4", "--out", "q"],
      prepare: notFinite,
      says: [`"${UP_PROJ}" cannot be quantized`, "weights must be finite, got NaN at index 5"],
      code: 3,
    },
    {
      name: "export: weights that are not finite and do not change",
      args: ["export", "float", "--to", "hf", "--out", "q"],
      alike: [["merge", "float", "--out", "q"]],
      prepare: notFinite,
      says: [`tensor "${UP_PROJ}" holds NaN or Infinity in its own file`],
      code: 3,
    },
    {
      name: "train: weights that are not finite",
      args: train("--model", "float", "--quantize", "nf4", "--method", "lora", "--out", "run"),
      files: { "a.txt": TEXT },
      prepare: notFinite,
      prints: "base    nf4 in blocks of 64",
      says: [`"${UP_PROJ}" cannot be quantized`, "weights must be finite, got NaN at index 5"],
      code: 3,
    },
    {
      name: "quantize: weights that are not finite, in 8 bits",
      args: ["quantize", "float", "--to", "int8", "--out", "q"],
      prepare: notFinite,
      says: [`"${UP_PROJ}" cannot be quantized`, "weights must be finite, got NaN at index 5"],
      code: 3,
    },
    ...(
      [
        ["a truncated packed weight", shortened(UP_PROJ, 191), "must be packed in 192 bytes, not 191"],
        ["too few scales", shortened(`${UP_PROJ}.absmax`, 5), '.absmax" must have 6 elements, not 5'],
        ["an unknown quant_type", quantState({ quant_type: "nf5" }), 'quant_type must be "nf4" or "fp4", not "nf5"'],
        ["an invalid block size", quantState({ blocksize: 48 }), "blocksize must be a power of two from 16 to 4096"],
        ["a block size of other scales", quantState({ blocksize: 32 }), '.absmax" must have 12 elements, not 6'],
        ["a shape of another layer", quantState({ shape: [16, 24] }), "(16, 24), the model needs (24, 16)"],
      ] as const
    ).map(
      ([what, change, fault]): BadInput => ({
        name: `eval: a quantized weight with ${what}`,
        args: ["eval", "packed", "--data", "a.txt"],
        files: { "a.txt": TEXT },
        prepare: packed(change),
        says: [UP_PROJ, fault],
        code: 3,
      }),
    ),
    {
      name: "merge: a quantized weight with a tampered nested map",
      args: ["merge", "packed", "--out", "merged"],
      prepare: packed((tensors) => void tensors.get(`${UP_PROJ}.nested_quant_map`)!.data.fill(0.5, 7, 8), {
        doubleQuant: true,
      }),
      says: [`"${UP_PROJ}.nested_quant_map" must rise`],
      code: 3,
    },
    {
      name: "inspect: a quantized weight of an unknown kind",
      args: ["inspect", "packed"],
      prepare: packed(quantState({ quant_type: "nf5" })),
      says: [UP_PROJ, 'quant_type must be "nf4" or "fp4", not "nf5"'],
      code: 3,
    },
    {
      name: "a model that GPTQ quantized",
      args: ["eval", "packed", "--data", "a.txt"],
      alike: [
        ["quantize", "packed", "--to", "nf4", "--out", "q"],
        ["merge", "packed", "--out", "merged"],
      ],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "packed"), { numLayers: 1 });
        const file = path.join(cwd, "packed/config.json");
        const config = JSON.parse(await readFile(file, "utf8"));
        const quantized = { ...config, quantization_config: { quant_method: "gptq", bits: 4 } };
        await writeFile(file, JSON.stringify(quantized));
      },
      says: ['quant_method "gptq" is not supported', "unquantized or from bitsandbytes"],
      code: 3,
    },
  ],
};
