import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { HighrankError } from "../src/base/errors.js";
import { loadConfigFile } from "../src/config/config-file.js";
import { resolveSettings } from "../src/config/resolve.js";
import { loadCorpus } from "../src/data/corpus.js";
import { openDataset } from "../src/data/dataset.js";
import { encodeRecords } from "../src/data/encoded-data.js";
import { writeChecksums } from "../src/files/checksums.js";
import { readSafetensors, writeSafetensors } from "../src/files/safetensors.js";
import { readPeftAdapter, writePeftAdapter } from "../src/formats/peft.js";
import { companionFiles } from "../src/loading/companions.js";
import { folderSource, loadModel } from "../src/loading/folder-source.js";
import { appendDelta, readDeltas } from "../src/relora/delta-log.js";
import { readCheckpoint, writeCheckpoint } from "../src/runs/checkpoint.js";
import { parseMetrics } from "../src/runs/metrics.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { quantizeModel } from "../src/verbs/quantize.js";
import { withFolder } from "./run-command.js";
import { changeTensors, writeSmallModel } from "./small-model.js";

// What the fuzzer found, each file as small as it can be. See docs/hostile-files.md.

interface HostileFile {
  readonly name: string;
  /** Writes into the folder and reads what was written. */
  readonly read: (folder: string) => Promise<unknown>;
  /** What the error must say. */
  readonly says: string | RegExp;
}

const DEEP = "[".repeat(100_000) + "]".repeat(100_000);

const vector = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});
const zeros = (...shape: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});

/** A safetensors file with this header and no data. */
async function writeHeader(file: string, header: string): Promise<void> {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  await writeFile(file, Buffer.concat([length, Buffer.from(header)]));
}

function header(text: string, says: string): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    await writeHeader(path.join(folder, "a.safetensors"), text);
    return readSafetensors(path.join(folder, "a.safetensors"));
  };
  return { read, says };
}

/** A model folder with other text in a file, or what else `change` does to it. */
function model(change: (folder: string) => Promise<unknown>, says: string | RegExp): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    const inner = path.join(folder, "model");
    await writeSmallModel(inner, { numLayers: 1 });
    await change(inner);
    await companionFiles(inner);
    return loadModel(inner);
  };
  return { read, says };
}

function config(text: (json: Record<string, unknown>) => string, says: string | RegExp): Omit<HostileFile, "name"> {
  return model(async (folder) => {
    const file = path.join(folder, "config.json");
    await writeFile(file, text(JSON.parse(await readFile(file, "utf8"))));
  }, says);
}

const withField = (field: object) => (json: object) => JSON.stringify({ ...json, ...field });

function quantized(change: (tensors: Map<string, HostTensor>) => void, says: string): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    const [float, packed] = [path.join(folder, "float"), path.join(folder, "packed")];
    await writeSmallModel(float, { numLayers: 1 });
    await quantizeModel(float, { out: packed, quantizer: { format: "nf4", blockSize: 64, doubleQuant: false } });
    await changeTensors(packed, change);
    return folderSource(packed);
  };
  return { read, says };
}

function adapter(fields: object, says: string): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    const inner = path.join(folder, "adapter");
    await writePeftAdapter(inner, {
      ...{ baseModel: null, rank: 2, alpha: 2, dropout: 0, useRslora: false, targetModules: ["up_proj"] },
      layers: new Map([["mlp.up_proj", { loraA: zeros(2, 3), loraB: zeros(4, 2) }]]),
      modulesToSave: new Map(),
    });
    const file = path.join(inner, "adapter_config.json");
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), ...fields }));
    return readPeftAdapter(inner);
  };
  return { read, says };
}

/** A delta log whose first cycle is written anew with other factors or metadata. */
function delta(pair: HostTensor[], metadata: Record<string, string>, says: string): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    const layers = new Map([["up_proj", { loraA: zeros(2, 3), loraB: zeros(4, 2) }]]);
    await appendDelta(folder, { cycle: 1, step: 1, scaling: 1, layers });
    const names = ["A", "B"].map((half) => `base_model.model.up_proj.lora_${half}.weight`);
    await writeSafetensors(
      path.join(folder, "deltas", "cycle-000001.safetensors"),
      new Map(names.map((name, i) => [name, pair[i]!] as const)),
      { cycle: "1", step: "1", scaling: "1", ...metadata },
    );
    for await (const _ of readDeltas(folder));
  };
  return { read, says };
}

function checkpoint(change: (run: string) => Promise<unknown>, says: string): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    await writeCheckpoint(folder, 5, { state: {}, tensorFiles: { trainable: new Map([["a", vector(1)]]) } });
    await change(folder);
    return readCheckpoint(folder, "last");
  };
  return { read, says };
}

const yaml = (text: string, says: string | RegExp): Omit<HostileFile, "name"> => ({
  read: async () => resolveSettings({ file: loadConfigFile(text, "a.yaml") }),
  says,
});

function tokenizer(change: (json: Tokens) => object | undefined, says: string): Omit<HostileFile, "name"> {
  const read = async (folder: string) => {
    await writeSmallModel(path.join(folder, "model"), { numLayers: 1 });
    const file = path.join(folder, "model", "tokenizer.json");
    const json = JSON.parse(await readFile(file, "utf8"));
    const tokenizerConfig = change(json);
    await writeFile(file, JSON.stringify(json));
    if (tokenizerConfig !== undefined) {
      await writeFile(path.join(folder, "model", "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
    }
    const read = await Tokenizer.fromFolder(path.join(folder, "model"));
    return [read.endOfTextId, read.encode("a cat"), read.encodeDocuments(["a cat"])];
  };
  return { read, says };
}

interface Tokens {
  readonly model: { readonly vocab: Record<string, unknown> };
  readonly added_tokens: { id: unknown; content: unknown }[];
}

const aliases = Array.from({ length: 40 }, (_, i) => `a${i}: &a${i} [${i === 0 ? "x, x" : `*a${i - 1}, *a${i - 1}`}]`);

const FILES: readonly HostileFile[] = [
  { name: "a header of arrays in arrays", ...header(`{"a":${DEEP}}`, "nested deeper than 64 levels") },
  {
    name: "a tensor with a very long name",
    ...header(
      `{"${".".repeat(1001)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
      "the name has 1001 characters",
    ),
  },
  {
    name: "a shape of very many sizes",
    ...header(`{"a":{"dtype":"U8","shape":[${"1,".repeat(5000)}2],"data_offsets":[0,0]}}`, "… (10003 characters)"),
  },
  { name: "a config.json of arrays in arrays", ...config(() => DEEP, "nested deeper than 64 levels") },
  {
    name: "more layers than a model could be built with",
    ...config(withField({ num_hidden_layers: 1e9 }), "num_hidden_layers 1000000000, but there are 12 tensors"),
  },
  {
    name: "a size in place of which stands an object that breaks arithmetic",
    ...config(
      withField({ num_attention_heads: { valueOf: null, toString: 1 } }),
      "num_attention_heads must be a positive integer",
    ),
  },
  {
    name: "a hidden size that norms would be filled to",
    ...config(withField({ hidden_size: 16e9 }), "the model needs (280, 16000000000)"),
  },
  {
    name: "sizes that only look like integers",
    ...config(withField({ vocab_size: 1e300 }), "vocab_size must be a positive integer, got 1e+300"),
  },
  {
    name: "a text for a number that has a default",
    ...config(
      withField({ rope_parameters: { rope_theta: "10000" } }),
      'rope_theta must be a number above 0, got "10000"',
    ),
  },
  { name: "a text for an object", ...config(withField({ rope_scaling: "linear" }), "rope_scaling must be an object") },
  ...Object.entries({
    rms_norm_eps: -1,
    rope_theta: 0,
    initializer_range: -1,
    max_position_embeddings: 0.5,
    eos_token_id: -1,
  }).map(([key, value]) => ({
    name: `${key} out of range`,
    ...config(withField({ [key]: value }), / must be .*, got /),
  })),
  {
    name: "a pipe in place of weights",
    ...model(async (folder) => {
      await rm(path.join(folder, "model.safetensors"));
      execFileSync("mkfifo", [path.join(folder, "model.safetensors")]);
    }, "model.safetensors is neither a file nor a folder"),
  },
  ...["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"].map((file) => ({
    name: `a link out of the folder in place of ${file}`,
    ...model(
      async (folder) => {
        await rm(path.join(folder, file), { force: true });
        await symlink("/etc/passwd", path.join(folder, file));
      },
      new RegExp(`${file} leads out of the folder, to /etc/passwd; put the file itself there`),
    ),
  })),
  {
    name: "an index that names a file elsewhere",
    ...model(async (folder) => {
      await rm(path.join(folder, "model.safetensors"));
      const map = { a: "../../model.safetensors", b: "/etc/a.safetensors", c: "..\\a.safetensors" };
      await writeFile(path.join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
    }, /3 faults(\n.*must lie in a .safetensors file of this folder, not in .*){3}/),
  },
  {
    name: "a quant_state of arrays in arrays",
    ...quantized((tensors) => {
      const data = new TextEncoder().encode(`{"shape":${DEEP}}`);
      const name = "model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4";
      tensors.set(name, { dtype: "uint8", shape: [data.length], data });
    }, "nested deeper than 64 levels"),
  },
  {
    name: "twenty thousand parts of quantized weights",
    ...quantized((tensors) => {
      for (let i = 0; i < 20_000; i++) tensors.set(`w${i}.quant_state`, zeros(0));
    }, 'quantized weight "w0": 4 faults'),
  },
  {
    name: "twenty thousand modules to save",
    ...adapter({ modules_to_save: Array.from({ length: 20_000 }, (_, i) => `m${i}`) }, "a list of at most 1000 names"),
  },
  {
    name: "twenty thousand targets, none of them the module",
    ...adapter({ target_modules: Array.from({ length: 20_000 }, (_, i) => `m${i}`) }, "target_modules (m0, m1, m2"),
  },
  {
    name: "factors of integers",
    ...delta(
      [{ dtype: "int32", shape: [2, 3], data: new Int32Array(6) }, zeros(4, 2)],
      {},
      "lora_A int32 of shape (2, 3) and lora_B float32 of shape (4, 2) must be float32",
    ),
  },
  {
    name: "a step below zero",
    ...delta([zeros(2, 3), zeros(4, 2)], { step: "-1" }, '"step" must be a number of 0 or more'),
  },
  {
    name: "a link out of the run in place of its log",
    ...delta([zeros(2, 3), zeros(4, 2)], {}, "deltas leads out of the folder"),
    read: async (folder) => {
      await symlink("/etc", path.join(folder, "deltas"));
      for await (const _ of readDeltas(folder));
    },
  },
  {
    name: "a pointer to a checkpoint of a million characters",
    ...checkpoint((run) => writeFile(path.join(run, "last"), "x".repeat(1e6)), "… (1000002 characters)"),
  },
  {
    name: "a link out of a checkpoint, with its checksum",
    ...checkpoint(async (run) => {
      await rm(path.join(run, "checkpoint-000005", "state.json"));
      await symlink("/etc/passwd", path.join(run, "checkpoint-000005", "state.json"));
    }, "state.json leads out of the folder"),
  },
  { name: "YAML whose aliases double", ...yaml(aliases.join("\n"), /a\.yaml: cannot be read: .*alias/) },
  {
    name: "YAML that holds itself",
    ...yaml("model: &m [*m]", /a\.yaml: \*m stands inside of &m, which it would repeat/),
  },
  {
    name: "YAML of lists in lists",
    ...yaml(`model: ${"[".repeat(200)}${"]".repeat(200)}`, "nested deeper than 64 levels"),
  },
  {
    name: "YAML of keys in keys",
    ...yaml(`${"? ".repeat(300)}a`, "the name of a setting must be a text, not a list or an object"),
  },
  { name: "YAML of lists without end", ...yaml("- ".repeat(20_000), /a\.yaml: /) },
  {
    name: "a config file that is no config file",
    ...yaml("# \n".repeat(30_000), "must have at most 65536 characters, got 90000"),
  },
  {
    name: "an id that is far from the others",
    ...tokenizer(
      ({ model: { vocab } }) => void Object.assign(vocab, { a: 2 ** 31 }),
      'the id of "a" must be an integer from 0 to 4194303',
    ),
  },
  {
    name: "an added token with an id that is none",
    ...tokenizer(
      ({ added_tokens: [token] }) => void Object.assign(token!, { id: -1 }),
      'the id of "<|endoftext|>" must be 0, the one of the vocabulary or the next, not -1',
    ),
  },
  {
    name: "an end of text that is no text",
    ...tokenizer(() => ({ eos_token: { content: { toString: 1 } } }), 'eos_token must be a text, not {"toString":1}'),
  },
  {
    name: "a line of metrics without what its kind has",
    read: async () => parseMetrics('{"kind":"merge","step":1}\n'),
    says: /line 1: "merge": cycle: .*; policy: /,
  },
  {
    name: "a line of metrics with texts for numbers",
    read: async () => parseMetrics('{"kind":"reset","step":1,"zeroedFraction":"all"}\n'),
    says: /line 1: "reset": zeroedFraction: .*expected number/,
  },
  {
    name: "a row of more ids than a call takes arguments",
    read: async (folder) => {
      const file = path.join(folder, "a.jsonl");
      await writeFile(file, JSON.stringify({ input_ids: new Array(200_000).fill(1) }));
      const { kind, train } = await openDataset(file);
      const options = { sequenceLength: 8, packing: "auto" as const, trainOnInputs: false, truncate: false };
      return encodeRecords(kind, train, undefined, options);
    },
    says: "must have at most 9 ids, got 200000",
  },
  {
    name: "a text that is arrays in arrays",
    read: async (folder) => {
      await writeFile(path.join(folder, "a.jsonl"), `{"text":${DEEP}}\n`);
      return loadCorpus(path.join(folder, "a.jsonl"));
    },
    says: "nested deeper than 64 levels",
  },
  {
    name: "a link out of a data folder",
    read: async (folder) => {
      await mkdir(path.join(folder, "data"));
      await writeFile(path.join(folder, "secret.txt"), "secret");
      await symlink("../secret.txt", path.join(folder, "data", "a.txt"));
      return loadCorpus(path.join(folder, "data"));
    },
    says: "a.txt leads out of the folder",
  },
];

test.each(FILES.map((file) => [file.name, file] as const))(
  "%s: refused with a short message",
  async (_, { read, says }) => {
    const error = await withFolder({}, read).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(HighrankError);
    expect((error as Error).message).toMatch(says);
    expect((error as Error).message.length).toBeLessThan(8002);
  },
);

test("links of a data folder that go in a circle give each file once", async () => {
  await withFolder({ "data/a.txt": "one", "data/b/c.txt": "two" }, async (folder) => {
    for (const name of ["up", "again"]) await symlink("..", path.join(folder, "data", "b", name));
    const { train, validation } = await loadCorpus(path.join(folder, "data"), { validationFraction: 0 });
    expect([...train, ...validation].sort()).toEqual(["one", "two"]);
  });
});

test("a file named like a property of every object is a file", async () => {
  await withFolder({}, async (run) => {
    const folder = await writeCheckpoint(run, 5, {
      state: {},
      tensorFiles: { trainable: new Map([["a", vector(1)]]) },
    });
    await writeSafetensors(path.join(folder, "__proto__.safetensors"), new Map([["b", vector(2)]]));
    await writeChecksums(folder);
    const { tensorFiles } = await readCheckpoint(run, 5);
    expect(Object.keys(tensorFiles).sort()).toEqual(["__proto__", "trainable"]);
  });
});
