import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { readModelFolder, writeModelFolder } from "../../src/formats/model-folder.js";
import { TEXT, writeSmallModel } from "../small-model.js";
import type { Area, BadInput } from "./bad-input.js";
import { adapterFor } from "./faulty-models.js";

/** A safetensors file of this header, with so many bytes of data; the length that it claims for the header is right unless given. */
function weightFile(header: string | Uint8Array, dataBytes: number, claimed?: bigint): Uint8Array {
  const bytes = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + bytes.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(bytes.length), true);
  file.set(bytes, 8);
  return file;
}

/** An entry of a header, of float32 numbers. */
const entry = (name: string, shape: readonly number[], offsets: readonly [number, number]): string =>
  `"${name}": ${JSON.stringify({ dtype: "F32", shape, data_offsets: offsets })}`;

const FAULTS: readonly (readonly [what: string, file: Uint8Array, says: readonly string[]])[] = [
  [
    "a header longer than the file",
    weightFile(`{${entry("a", [2], [0, 8])}}`, 8, 5000n),
    ["it claims a header of 5000 bytes but has only"],
  ],
  [
    "a header of an absurd size",
    weightFile("{}", 0, 2n ** 62n),
    ["it claims a header of 4611686018427387904 bytes, more than the format's 100000000"],
  ],
  ["a header that is not UTF-8", weightFile(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d), 0), ["the header is not UTF-8"]],
  [
    "tensors that overlap",
    weightFile(`{${entry("a", [2], [0, 8])}, ${entry("b", [2], [4, 12])}}`, 12),
    ['tensor "b" overlaps tensor "a" by 4 bytes'],
  ],
  [
    "offsets beyond its end, and others that decrease",
    weightFile(`{${entry("a", [2], [0, 80])}, ${entry("b", [1], [8, 4])}}`, 8),
    ['"a": data_offsets [0, 80] must rise and stay within the 8 bytes', '"b": data_offsets [8, 4] must rise'],
  ],
  [
    "shapes that do not fit their bytes",
    weightFile(`{${entry("a", [3], [0, 8])}}`, 8),
    ['tensor "a": shape [3] of F32 takes 12 bytes but data_offsets give 8'],
  ],
  [
    "a duplicate name",
    weightFile(`{${entry("a", [1], [0, 4])}, ${entry("a", [1], [4, 8])}}`, 8),
    ['the header names "a" twice'],
  ],
];

const inFiles = FAULTS.map(
  ([what, file, says]): BadInput => ({
    name: `a weight file with ${what}`,
    args: ["inspect", "model.safetensors"],
    files: { "model.safetensors": file },
    says: ["model.safetensors", "download or save it again", ...says],
    code: 3,
  }),
);

/** Writes the folder `shards` and changes its index or its files. */
const sharded =
  (change: (folder: string, index: { weight_map: Record<string, string> }) => Promise<void>) =>
  async (cwd: string): Promise<void> => {
    await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
    const { config, tensors } = await readModelFolder(path.join(cwd, "float"));
    const folder = path.join(cwd, "shards");
    await writeModelFolder(folder, { config, tensors, shardBytes: 20_000 });
    await change(folder, JSON.parse(await readFile(path.join(folder, "model.safetensors.index.json"), "utf8")));
  };

/** The folder `shards`, whose index has the last norm in this file. */
const normIn = (file: string) =>
  sharded((folder, index) => {
    index.weight_map["model.norm.weight"] = file;
    return writeFile(path.join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  });

export const weightFiles: Area = {
  title: "Damaged weight files and folders",
  rows: [
    ...inFiles,
    {
      name: "a model without one of its shards",
      args: ["eval", "shards", "--data", "a.txt"],
      alike: [["inspect", "shards"]],
      files: { "a.txt": TEXT },
      prepare: sharded((folder) => rm(path.join(folder, "model-00002-of-00003.safetensors"))),
      says: ["model.safetensors.index.json", "model-00002-of-00003.safetensors is missing"],
      code: 3,
    },
    {
      name: "an index that leads out of the folder",
      args: ["inspect", "shards"],
      alike: [["merge", "shards", "--out", "merged"]],
      files: { "outside.safetensors": weightFile(`{${entry("model.norm.weight", [2], [0, 8])}}`, 8) },
      prepare: normIn("../outside.safetensors"),
      says: ['"model.norm.weight" must lie in a .safetensors file of this folder, not in "../outside.safetensors"'],
      code: 3,
    },
    {
      name: "an index that names a tensor which its file does not hold",
      args: ["inspect", "shards"],
      prepare: normIn("model-00001-of-00003.safetensors"),
      says: ['model-00001-of-00003.safetensors does not hold "model.norm.weight"'],
      code: 3,
    },
    {
      name: "weights that do not fit the config",
      args: ["eval", "float", "--data", "a.txt"],
      alike: [["merge", "float", "--out", "merged"]],
      files: { "a.txt": TEXT },
      prepare: (cwd) =>
        writeSmallModel(path.join(cwd, "float"), {
          numLayers: 1,
          change: (tensors) => {
            tensors.delete("model.norm.weight");
            tensors.set("lm_head.weight", { dtype: "float32", shape: [4, 2], data: new Float32Array(8) });
          },
        }),
      says: [
        "the weights do not fit the model",
        '"model.norm.weight" is missing',
        '"lm_head.weight" has shape (4, 2), the model needs (280, 16)',
      ],
      code: 3,
    },
    {
      name: "a config without a required key",
      args: ["eval", "float", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await writeFile(path.join(cwd, "float/config.json"), '{"model_type": "llama", "hidden_size": "16"}');
      },
      says: ["config.json", "vocab_size", "hidden_size"],
      code: 3,
    },
    {
      name: "a tokenizer of another vocabulary",
      args: ["eval", "float", "--data", "a.txt"],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        const file = path.join(cwd, "float/tokenizer.json");
        const tokenizer = JSON.parse(await readFile(file, "utf8"));
        const added = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
        const first = Object.keys(tokenizer.model.vocab).length;
        for (let id = first; id < 280; id++) tokenizer.added_tokens.push({ id, content: `<extra ${id}>`, ...added });
        tokenizer.added_tokens.push({ id: 280, content: "cat sat on mat", ...added });
        await writeFile(file, JSON.stringify(tokenizer));
      },
      says: ["the text has token 280, but the model has 280", "its tokenizer is another model's"],
      code: 3,
    },
    {
      name: "rows of tokens outside the vocabulary",
      args: ["eval", "float", "--data", "rows.jsonl"],
      files: { "rows.jsonl": '{"input_ids": [1, 2, 3]}\n{"input_ids": [1, 280, 3]}\n' },
      prepare: (cwd) => writeSmallModel(path.join(cwd, "float"), { numLayers: 1 }),
      says: ["rows.jsonl, line 2: ids must be below 280, the model's vocabulary, got 280"],
      code: 3,
    },
    {
      name: "an adapter for another architecture",
      args: ["eval", "adapter", "--base", "float", "--data", "a.txt"],
      alike: [["merge", "adapter", "--base", "float", "--out", "merged"]],
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await adapterFor(cwd, "float", null);
        const file = path.join(cwd, "adapter/adapter_model.safetensors");
        const content = await readFile(file, "latin1");
        // Names of the same length, so that the header keeps its own.
        await writeFile(file, content.replaceAll("model.layers.0.mlp.up_proj", "transformer.h.0.mlp.c_fcxx"), "latin1");
        const config = path.join(cwd, "adapter/adapter_config.json");
        await writeFile(config, (await readFile(config, "utf8")).replace("up_proj", "c_fcxx"));
      },
      says: ["the adapter does not fit its base", "the model has no linear layer transformer.h.0.mlp.c_fcxx"],
      code: 3,
    },
  ],
};
