import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { hashModelFolder } from "../src/checkpoints/base-hash.js";
import { writePeftAdapter } from "../src/checkpoints/peft.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { quantizeModel } from "../src/training/quantize-model.js";
import { type Files, listTree, runCommand, withFolder } from "./run-command.js";
import { changeTensors, TEXT, writeSmallModel } from "./small-model.js";

/** A call that must fail with one clear message and leave nothing behind. */
interface BadInput {
  readonly name: string;
  readonly args: readonly string[];
  /** Files in the folder that the command runs in. */
  readonly files?: Files;
  /** Writes more into that folder. */
  readonly prepare?: (cwd: string) => Promise<void>;
  /** Texts that the message must contain. */
  readonly says: readonly string[];
  readonly code: 1 | 2 | 3 | 4;
}

/** A run that would take seconds, with `more` flags. */
function train(...more: string[]): string[] {
  const flags = "--data a.txt --model tiny --vocab-size 280 --sequence-length 16 --batch-size 2 --rank 4 --max-steps 4";
  const kept = flags.split(" ").filter((_, i, all) => !more.includes(all[i - (i % 2)]!));
  return ["train", ...kept, ...more];
}

const UP_PROJ = "model.layers.0.mlp.up_proj.weight";

/** Writes the folder `float` with a model that has a NaN in one layer. */
function notFinite(cwd: string): Promise<void> {
  const change = (tensors: Map<string, HostTensor>) => void tensors.get(UP_PROJ)!.data.fill(Number.NaN, 5, 6);
  return writeSmallModel(path.join(cwd, "float"), { numLayers: 1, change });
}

/** Writes the folders `float` and `packed`, the latter in nf4 with nested scales where `doubleQuant`, and then changed. */
function packed(
  change: (tensors: Map<string, HostTensor>) => void = () => {},
  { doubleQuant = false } = {},
): (cwd: string) => Promise<void> {
  return async (cwd) => {
    const [float, out] = [path.join(cwd, "float"), path.join(cwd, "packed")];
    await writeSmallModel(float, { numLayers: 1 });
    await quantizeModel(float, { out, quantizer: { format: "nf4", blockSize: 64, doubleQuant } });
    await changeTensors(out, change);
  };
}

/** Replaces a part of a quantized weight by its first elements. */
function shortened(part: string, length: number): (tensors: Map<string, HostTensor>) => void {
  return (tensors) => {
    const { dtype, data, shape } = tensors.get(part)!;
    tensors.set(part, { dtype, data: data.slice(0, length), shape: [length, ...shape.slice(1)] });
  };
}

/** Changes the JSON of a quantized weight. */
function quantState(change: object): (tensors: Map<string, HostTensor>) => void {
  return (tensors) => {
    const part = `${UP_PROJ}.quant_state.bitsandbytes__nf4`;
    const state = JSON.parse(new TextDecoder().decode(tensors.get(part)!.data as Uint8Array));
    const data = new TextEncoder().encode(JSON.stringify({ ...state, ...change }));
    tensors.set(part, { dtype: "uint8", shape: [data.length], data });
  };
}

/** Writes the folder `adapter`, trained on the weights of the folder `base` below. */
async function adapterFor(cwd: string, base: string, quantizer: string | null): Promise<void> {
  const zeros = (...shape: [number, number]): HostTensor => ({
    dtype: "float32",
    shape,
    data: new Float32Array(shape[0] * shape[1]),
  });
  await writePeftAdapter(path.join(cwd, "adapter"), {
    ...{ baseModel: null, rank: 2, alpha: 2, dropout: 0, useRslora: false, targetModules: ["up_proj"] },
    layers: new Map([[UP_PROJ.replace(".weight", ""), { loraA: zeros(2, 16), loraB: zeros(24, 2) }]]),
    modulesToSave: new Map(),
    base: { sha256: await hashModelFolder(path.join(cwd, base)), quantizer },
  });
}

// Add a row for every input that somebody may get wrong.
const BAD_INPUTS: readonly BadInput[] = [
  {
    name: "an unknown verb",
    args: ["trian"],
    says: ["unknown command 'trian'", 'did you mean "train"?', "highrank --help"],
    code: 2,
  },
  { name: "no verb", args: [], says: ["Usage: highrank"], code: 2 },
  {
    name: "an unknown flag",
    args: ["train", "--rnak", "8"],
    says: ["unknown option '--rnak'", "did you mean --rank?", "highrank train --help"],
    code: 2,
  },
  {
    name: "another trainer's flag that does not translate one to one",
    args: ["train", "--gradient-accumulation-steps", "4"],
    says: ["--gradient-accumulation-steps", "set totalBatchSize to batchSize times that number"],
    code: 2,
  },
  {
    name: "an unknown flag of a verb without settings",
    args: ["eval", "model", "--dta", "x.txt"],
    says: ["unknown option '--dta'", "did you mean --data?", "highrank eval --help"],
    code: 2,
  },
  { name: "a missing argument", args: ["generate"], says: ["missing required argument 'TARGET'"], code: 2 },
  { name: "too many arguments", args: ["doctor", "now"], says: ["too many arguments"], code: 2 },
  { name: "a flag without its value", args: ["train", "--rank"], says: ["argument missing", "--rank"], code: 2 },
  {
    name: "several values out of range, all reported at once",
    args: ["train", "--rank", "0", "--lr", "fast", "--method", "qlora"],
    says: [
      '--rank: must be an integer of at least 1, got "0"',
      '--lr: must be a number above 0, got "fast"',
      '--method: must be one of full, lora, relora, got "qlora"',
    ],
    code: 2,
  },
  {
    name: "values of a verb without settings out of range, all reported at once",
    args: ["generate", "model", "--temperature", "-1", "--top-p", "2"],
    says: ["--temperature: must be a number of at least 0", "--top-p: must be a number above 0 and at most 1"],
    code: 2,
  },
  {
    name: "a flag beside its other name",
    args: ["train", "--rank", "8", "--lora-r", "16"],
    says: ["is another name of rank"],
    code: 2,
  },
  {
    name: "settings that do not fit together",
    args: ["train", "--batch-size", "8", "--total-batch-size", "12"],
    says: ["must be a multiple of batchSize (8), got 12"],
    code: 2,
  },
  { name: "eval without data", args: ["eval", "model"], says: ["--data is missing"], code: 2 },
  {
    name: "a config file that does not exist",
    args: ["train", "nowhere.yaml"],
    says: ["cannot read nowhere.yaml", "no such file"],
    code: 3,
  },
  {
    name: "a config file that is a folder",
    args: ["train", "."],
    says: ["cannot read .", "it is a folder"],
    code: 3,
  },
  {
    name: "a config file that is not text",
    args: ["train", "config.yaml"],
    files: { "config.yaml": Uint8Array.of(0xff, 0xfe, 0x00, 0x80) },
    says: ["config.yaml is not UTF-8 text"],
    code: 3,
  },
  {
    name: "a config file that is not YAML",
    args: ["train", "config.yaml"],
    files: { "config.yaml": "rank: [1, 2\nlr: 3\n" },
    says: ["config.yaml", "at line 2"],
    code: 2,
  },
  {
    name: "an unknown key in a config file",
    args: ["train", "config.yaml"],
    files: { "config.yaml": "rnak: 8\nmethod: lora\n" },
    says: ['config.yaml: unknown setting "rnak"', 'did you mean "rank"?'],
    code: 2,
  },
  {
    name: "an unknown verb below a verb",
    args: ["tokenizer", "trian"],
    says: ["unknown command 'trian'", 'did you mean "train"?', "highrank tokenizer --help"],
    code: 2,
  },
  { name: "a tokenizer without a folder to write to", args: ["tokenizer", "train", "a.txt"], says: ["--out"], code: 2 },
  {
    name: "a tokenizer where one exists already",
    args: ["tokenizer", "train", "a.txt", "--out", "model"],
    files: { "a.txt": "some text", "model/tokenizer.json": "{}" },
    says: ["model/tokenizer.json exists already", "--overwrite"],
    code: 2,
  },
  {
    name: "a vocabulary without room for the bytes",
    args: ["tokenizer", "train", "a.txt", "--out", "model", "--vocab-size", "100"],
    files: { "a.txt": "some text" },
    says: ["--vocab-size: must be an integer of at least 257", 'got "100"'],
    code: 2,
  },
  {
    name: "train: a model that is neither a preset nor a folder",
    args: train("--model", "tinny"),
    files: { "a.txt": TEXT },
    says: ['model: "tinny" is neither', 'did you mean "tiny"?', "60m"],
    code: 2,
  },
  {
    name: "train: a rank that exceeds the layers",
    args: train("--rank", "100"),
    files: { "a.txt": TEXT },
    says: ["rank: 100 exceeds", "model.layers.0.self_attn.q_proj (64 × 64) takes at most 64"],
    code: 2,
  },
  {
    name: "train: targets that match nothing",
    args: train("--target-modules", "q_prj"),
    files: { "a.txt": TEXT },
    says: ['"q_prj" (did you mean "q_proj"?)', "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"],
    code: 2,
  },
  {
    name: "train: a sequence longer than the data",
    args: train("--sequence-length", "5000"),
    files: { "a.txt": TEXT },
    says: ["rows of 5000 tokens", "--sequence-length"],
    code: 3,
  },
  {
    name: "train: a folder to write to that holds something else",
    args: train("--out", "photos"),
    files: { "a.txt": TEXT, "photos/1.jpg": "" },
    says: ["photos is not empty", "name another folder"],
    code: 2,
  },
  {
    name: "train: a model that does not exist",
    args: train("--model", "models/nowhere"),
    files: { "a.txt": TEXT },
    says: ["models/nowhere must be a model folder"],
    code: 3,
  },
  {
    name: "generate: a target that does not exist",
    args: ["generate", "nowhere"],
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
  ...["data", "train --model tiny --data", "tokenizer train --out model"].flatMap((verb): BadInput[] => [
    {
      name: `${verb}: a data file that does not exist`,
      args: [...verb.split(" "), "nowhere.txt"],
      says: ["nowhere.txt: there is no such file or folder", "builtin:wordnet"],
      code: 3,
    },
    {
      name: `${verb}: an empty data file`,
      args: [...verb.split(" "), "empty.txt"],
      files: { "empty.txt": "" },
      says: ["empty.txt: no text in it"],
      code: 3,
    },
    {
      name: `${verb}: a data file that is not text`,
      args: [...verb.split(" "), "picture.txt"],
      files: { "picture.txt": Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0xff, 0xd8) },
      says: ["picture.txt is not UTF-8 text"],
      code: 3,
    },
    {
      name: `${verb}: a data file of unknown kind`,
      args: [...verb.split(" "), "table.csv"],
      files: { "table.csv": "a,b" },
      says: ["table.csv: the name must end in .txt, .md, .jsonl"],
      code: 3,
    },
    {
      name: `${verb}: an empty folder`,
      args: [...verb.split(" "), "."],
      says: [".: the folder has no file whose name ends in .txt, .md, .jsonl"],
      code: 3,
    },
    {
      name: `${verb}: an unknown built-in text`,
      args: [...verb.split(" "), "builtin:wordnett"],
      says: ["builtin:wordnett: there is no such built-in text", "builtin:wordnet"],
      code: 3,
    },
  ]),
  {
    name: "quantize without a format and a folder",
    args: ["quantize", "model"],
    says: ["--to is missing", "--out is missing"],
    code: 2,
  },
  {
    name: "quantize: scales that int8 does not have, all reported at once",
    args: ["quantize", "model", "--to", "int8", "--double-quant", "--block-size", "64", "--out", "q"],
    says: ["--double-quant: is for nf4 and fp4", "--block-size: is for nf4 and fp4; int8 has a scale for each row"],
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
    name: "quantize: a model that is quantized already",
    args: ["quantize", "packed", "--to", "int8", "--out", "q"],
    prepare: packed(),
    says: ["packed is quantized already (nf4 in blocks of 64)", "quantize the float model"],
    code: 3,
  },
  ...[
    ["quantize", "float", "--to", "nf4", "--out", "q"],
    ["quantize", "float", "--to", "int8", "--out", "q"],
  ].map(
    (args): BadInput => ({
      name: `${args.slice(0, 4).join(" ")}: weights that are not finite`,
      args,
      prepare: notFinite,
      says: [`"${UP_PROJ}" cannot be quantized`, "weights must be finite, got NaN"],
      code: 3,
    }),
  ),
  ...(
    [
      ["a truncated packed weight", shortened(UP_PROJ, 191), "must be packed in 192 bytes, not 191"],
      ["too few scales", shortened(`${UP_PROJ}.absmax`, 5), '.absmax" must have 6 elements, not 5'],
      ["an unknown quant_type", quantState({ quant_type: "nf5" }), 'quant_type must be "nf4" or "fp4", not "nf5"'],
      ["a block size that is none", quantState({ blocksize: 48 }), "blocksize must be a power of two from 16 to 4096"],
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
  ...["eval packed --data a.txt", "quantize packed --to nf4 --out q", "merge packed --out merged"].map(
    (command): BadInput => ({
      name: `${command}: a model that GPTQ quantized`,
      args: command.split(" "),
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
    }),
  ),
  ...["eval adapter --base float --data a.txt", "merge adapter --base float --out merged"].map(
    (command): BadInput => ({
      name: `${command}: an adapter that was trained on another base`,
      args: command.split(" "),
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "float"), { numLayers: 1 });
        await writeSmallModel(path.join(cwd, "other"), { numLayers: 1, seed: 1 });
        await adapterFor(cwd, "other", null);
      },
      says: ["adapter: was trained on weights with SHA-256", "but those of float have", "name the model"],
      code: 3,
    }),
  ),
  {
    name: "eval: an adapter that was trained on the same model from another quantizer",
    args: ["eval", "adapter", "--base", "eight", "--data", "a.txt"],
    files: { "a.txt": TEXT },
    prepare: async (cwd) => {
      await packed()(cwd);
      const quantizer = { format: "int8", blockSize: 0, doubleQuant: false } as const;
      await quantizeModel(path.join(cwd, "float"), { out: path.join(cwd, "eight"), quantizer });
      await adapterFor(cwd, "packed", "nf4 in blocks of 64");
    },
    says: ["adapter: was trained on weights", "held in nf4 in blocks of 64", "those of eight", "held in int8 by row"],
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
    name: "train: scales to quantize without a 4-bit format",
    args: train("--quantize", "int8", "--double-quant", "--method", "lora"),
    files: { "a.txt": TEXT },
    says: ["doubleQuant: is for nf4 and fp4"],
    code: 2,
  },
  {
    name: "train: a format that is not that of the quantized folder",
    args: train("--model", "packed", "--quantize", "int8", "--method", "lora"),
    files: { "a.txt": TEXT },
    prepare: packed(),
    says: ["quantize: packed is quantized already (nf4 in blocks of 64), not with int8 by row", "leave quantize out"],
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
    name: "merge: a value that float16 cannot hold",
    args: ["merge", "float", "--dtype", "float16", "--out", "merged"],
    prepare: async (cwd) => {
      const change = (tensors: Map<string, HostTensor>) => void tensors.get(UP_PROJ)!.data.fill(-1e5, 3, 4);
      await writeSmallModel(path.join(cwd, "float"), { numLayers: 1, change });
    },
    says: [`tensor "${UP_PROJ}" holds -100000, which F16 cannot hold`, "write it as bfloat16"],
    code: 3,
  },
  {
    name: "merge: a base where none is needed, and no folder",
    args: ["merge", "float", "--base", "other", "--dtype", "int8"],
    says: ["--out is missing", "--dtype: must be one of float32, bfloat16, float16"],
    code: 2,
  },
  {
    name: "merge: a base for a model folder",
    args: ["merge", "float", "--base", "float", "--out", "merged"],
    prepare: packed(),
    says: ["--base: is for a PEFT adapter folder; float is none"],
    code: 2,
  },
  {
    name: "merge: a target that does not exist",
    args: ["merge", "nowhere", "--out", "merged"],
    says: ["nowhere must be a model folder"],
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
    name: "damaged metrics of a run",
    args: ["inspect", "run"],
    files: { "run/metrics.jsonl": '{"kind":"skip","step":1,"reason":""}\nbroken\n{"kind":"skip"\n' },
    says: ["run/metrics.jsonl", "line 2: broken", 'line 3: {"kind":"skip"'],
    code: 3,
  },
];

test.each(BAD_INPUTS)("$name", async ({ args, files = {}, prepare, says, code }) => {
  await withFolder(files, async (cwd) => {
    await prepare?.(cwd);
    const before = await listTree(cwd);
    const result = await runCommand(args, { cwd });
    for (const text of says) expect(result.stderr).toContain(text);
    expect(result.stderr).toMatch(/^(error: |Usage: )/);
    expect(result.stderr).not.toMatch(/^\s+at /m);
    expect(result.stdout).toMatch(/^(Reading .* and preparing the model …\n)?$/);
    expect(result.code).toBe(code);
    expect(await listTree(cwd)).toEqual(before);
  });
});

test("train: weights that are not finite cannot be quantized, and nothing is written", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    await notFinite(cwd);
    const before = await listTree(cwd);
    const args = train("--model", "float", "--quantize", "nf4", "--method", "lora", "--out", "run");
    const { code, stderr } = await runCommand(args, { cwd });
    expect(stderr).toMatch(
      /^error: "model\.layers\.0\.mlp\.up_proj\.weight" cannot be quantized: .*got NaN at index 5/,
    );
    expect(code).toBe(3);
    expect(await listTree(cwd)).toEqual(before);
  });
});

test("train: a disk that is full leaves no partial file", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    // A limit on the size of files stands in for the disk.
    const { code, stderr } = await runCommand(train("--out", "run"), { cwd, maxFileKilobytes: 200 });
    expect(stderr).toMatch(/^error: cannot write run\/\S+: the file is larger than .*; choose another folder\n$/);
    expect(code).toBe(3);
    expect((await listTree(cwd)).filter((path) => path.includes("partial") || path.includes("safetensors"))).toEqual(
      [],
    );
  });
});

test("train: numbers that diverge end it with their own exit code", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    const args = train("--lr", "1e30", "--clip-grad-norm", "none", "--max-bad-steps", "1", "--max-steps", "60");
    const { code, stdout, stderr } = await runCommand(args, { cwd });
    expect(stdout).toContain("changed nothing: the loss is NaN");
    expect(stderr).toMatch(/^error: training diverged at step \d+.*lower lr/);
    expect(code).toBe(4);
  });
});
