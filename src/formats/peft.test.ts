import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { readSafetensors, writeSafetensors } from "../files/safetensors.js";
import type { HostTensor } from "../tensor/dtype.js";
import { namedAdapters, type PeftAdapter, readPeftAdapter, writePeftAdapter } from "./peft.js";
import { sortTensors } from "./peft-tensors.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-peft-"));
});
afterAll(async () => rm(root, { recursive: true }));

const tensor = (...shape: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1),
});
const QUERY = "model.layers.0.self_attn.q_proj";

const adapter: PeftAdapter = {
  baseModel: "../base",
  rank: 2,
  alpha: 4.5,
  dropout: 0.1,
  useRslora: true,
  targetModules: ["q_proj"],
  layers: new Map([[QUERY, { loraA: tensor(2, 3), loraB: tensor(4, 2) }]]),
  modulesToSave: new Map([
    ["lm_head.weight", tensor(5, 3)],
    ["model.norm.weight", tensor(3)],
  ]),
  base: null,
};

test("an adapter is written under PEFT's names and reads back equal", async () => {
  const folder = path.join(root, "written");
  await writePeftAdapter(folder, adapter);
  const { tensors, metadata } = await readSafetensors(path.join(folder, "adapter_model.safetensors"));
  expect(Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]))).toEqual({
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": [2, 3],
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": [4, 2],
    "base_model.model.lm_head.weight": [5, 3],
    "base_model.model.model.norm.weight": [3],
  });
  expect(metadata).toEqual({ format: "pt" });
  expect(await readPeftAdapter(folder)).toMatchObject(adapter);
});

test("a base of the hub is known by its name and revision", async () => {
  const folder = path.join(root, "hub-base");
  const named = { baseModel: "org/name", baseRevision: "a1b2c3", base: { sha256: null, quantizer: "nf4" } };
  await writePeftAdapter(folder, { ...adapter, ...named });
  const config = JSON.parse(await readFile(path.join(folder, "adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ base_model_name_or_path: "org/name", revision: "a1b2c3" });
  const { metadata } = await readSafetensors(path.join(folder, "adapter_model.safetensors"));
  expect(metadata).toEqual({ format: "pt", base_quantizer: "nf4" });
  expect(await readPeftAdapter(folder)).toMatchObject(named);
});

test("the base is kept only in the metadata, which PEFT ignores", async () => {
  const sha256 = "0123456789abcdef".repeat(4);
  for (const [name, quantizer] of [
    ["float", null],
    ["quantized", "nf4 in blocks of 64"],
  ] as const) {
    const folder = path.join(root, `base-${name}`);
    const plain = path.join(root, `plain-${name}`);
    await writePeftAdapter(folder, { ...adapter, base: { sha256, quantizer } });
    expect((await readPeftAdapter(folder)).base).toEqual({ sha256, quantizer });
    const { metadata } = await readSafetensors(path.join(folder, "adapter_model.safetensors"));
    const named = quantizer === null ? {} : { base_quantizer: quantizer };
    expect(metadata).toEqual({ format: "pt", base_sha256: sha256, ...named });
    const { base: _, ...withoutBase } = adapter;
    await writePeftAdapter(plain, withoutBase);
    expect((await readPeftAdapter(plain)).base).toBeNull();
    const config = (of: string) => readFile(path.join(of, "adapter_config.json"), "utf8");
    expect(await config(folder)).toBe(await config(plain));
  }
});

test("a base hash that is not a SHA-256 is neither written nor read", async () => {
  const folder = path.join(root, "base-damaged");
  const base = { sha256: "abc", quantizer: null };
  await expect(writePeftAdapter(folder, { ...adapter, base })).rejects.toThrow("base_sha256 must be 64 hexadecimal");
  await writePeftAdapter(folder, adapter);
  const weights = path.join(folder, "adapter_model.safetensors");
  const { tensors } = await readSafetensors(weights);
  await writeSafetensors(weights, tensors, { format: "pt", base_sha256: "abc" });
  await expect(readPeftAdapter(folder)).rejects.toThrow('base_sha256 must be 64 hexadecimal digits, not "abc"');
});

test("adapter_config.json has PEFT's fields, sorted, with indent 2", async () => {
  const folder = path.join(root, "config");
  await writePeftAdapter(folder, adapter);
  const text = await readFile(path.join(folder, "adapter_config.json"), "utf8");
  const fields = JSON.parse(text);
  expect(Object.keys(fields)).toEqual(Object.keys(fields).sort());
  expect(text.split("\n")[1]).toBe('  "alpha_pattern": {},');
  expect(fields).toMatchObject({
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: "../base",
    r: 2,
    lora_alpha: 4.5,
    lora_dropout: 0.1,
    use_rslora: true,
    target_modules: ["q_proj"],
    modules_to_save: ["lm_head", "model.norm"],
    bias: "none",
    inference_mode: true,
  });
});

test("an adapter is replaced only when allowed", async () => {
  const folder = path.join(root, "replaced");
  await writePeftAdapter(folder, adapter);
  await expect(writePeftAdapter(folder, adapter)).rejects.toThrow("the folder is not empty");
  await writePeftAdapter(folder, { ...adapter, alpha: 9 }, { replace: true });
  expect((await readPeftAdapter(folder)).alpha).toBe(9);
});

let folders = 0;
/** A folder as another program might write it. */
async function foreign(config: object, tensors: Record<string, HostTensor>): Promise<string> {
  const folder = path.join(root, `foreign-${folders++}`);
  await mkdir(folder);
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(config));
  await writeSafetensors(path.join(folder, "adapter_model.safetensors"), new Map(Object.entries(tensors)));
  return folder;
}
const pair = (module: string, rank: number): Record<string, HostTensor> => ({
  [`base_model.model.${module}.lora_A.weight`]: tensor(rank, 3),
  [`base_model.model.${module}.lora_B.weight`]: tensor(4, rank),
});

test("missing keys have PEFT's defaults and unknown keys are ignored", async () => {
  const read = await readPeftAdapter(await foreign({ peft_type: "LORA", brand_new: 1 }, pair(QUERY, 8)));
  expect(read).toMatchObject({ baseModel: null, rank: 8, alpha: 8, dropout: 0, useRslora: false });
  expect(read.targetModules).toEqual([QUERY]);
});

test("targets may be a regular expression for whole paths, and every module must match", async () => {
  const config = { peft_type: "LORA", r: 2, target_modules: ".*\\.(q|v)_proj" };
  const modules = [QUERY, "model.layers.1.self_attn.v_proj"];
  const read = await readPeftAdapter(await foreign(config, { ...pair(modules[0]!, 2), ...pair(modules[1]!, 2) }));
  expect(read.targetModules).toBe(config.target_modules);
  expect([...read.layers.keys()].sort()).toEqual(modules);
  const other = await foreign({ ...config, target_modules: ".*\\.q_proj" }, pair(modules[1]!, 2));
  await expect(readPeftAdapter(other)).rejects.toThrow("target_modules (.*\\.q_proj) does not name it");
});

test("options that PEFT writes at their neutral values are accepted", async () => {
  const neutral = {
    peft_type: "LORA",
    r: 2,
    use_dora: false,
    rank_pattern: {},
    alpha_pattern: {},
    bias: "none",
    lora_bias: false,
    fan_in_fan_out: false,
    init_lora_weights: "gaussian",
    layer_replication: null,
    loftq_config: {},
    megatron_core: "megatron.core",
    // How an initialisation that is converted by now was made.
    ...{ eva_config: null, corda_config: { corda_method: "kpm" }, lora_ga_config: { scale: "stable" } },
    trainable_token_indices: null,
    use_qalora: false,
    qalora_group_size: 16,
    ensure_weight_tying: false,
    modules_to_save: null,
    layers_to_transform: [0],
  };
  expect((await readPeftAdapter(await foreign(neutral, pair(QUERY, 2)))).rank).toBe(2);
});

const refused: [string, unknown][] = [
  ["use_dora", 1],
  ["rank_pattern", { q_proj: 0 }],
  ["alpha_pattern", { q_proj: "4" }],
  ["fan_in_fan_out", "yes"],
  ["bias", "some"],
  ["lora_bias", 0],
  ["exclude_modules", 1],
  ["exclude_modules", "all-linear"],
  ["layers_to_transform", "1"],
  ["layers_pattern", "a|b"],
  ["init_lora_weights", "loftq"],
  ["layer_replication", [[0, 2]]],
  ["trainable_token_indices", [-1]],
  ["target_parameters", "experts.gate"],
  ["ensure_weight_tying", 1],
  ["use_qalora", true],
  ["arrow_config", { top_k: 3 }],
  ["alora_invocation_tokens", [3]],
  ["r", 0],
  ["lora_alpha", "8"],
  ["lora_dropout", 1],
  ["use_rslora", 1],
  ["modules_to_save", "lm_head"],
  ["target_modules", 3],
];

test("every option that would change numbers is refused by name, all at once", async () => {
  const config = { peft_type: "LORA", ...Object.fromEntries(refused) };
  const message = await readPeftAdapter(await foreign(config, pair(QUERY, 8))).catch((error: unknown) => {
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as Error).message;
  });
  // Twenty are spelled out, the others counted.
  const names = new Set(refused.map(([key]) => key)).size;
  expect(message).toContain(`${names} faults`);
  expect(message).toContain(`and ${names - 20} more`);
});

test.each(refused)("%s of %j is refused", async (key, value) => {
  const folder = await foreign({ peft_type: "LORA", [key]: value }, pair(QUERY, 8));
  await expect(readPeftAdapter(folder)).rejects.toThrow(new RegExp(`cannot be used: ${key} (is|must be) `));
});

test.each(["pissa", "pissa_niter_4", "olora", "corda", "lora_ga", "OLoRA"])(
  "an initialisation %s is refused with the reason and PEFT's ways out",
  async (kind) => {
    const folder = await foreign({ peft_type: "LORA", r: 2, init_lora_weights: kind }, pair(QUERY, 2));
    await expect(readPeftAdapter(folder)).rejects.toThrow(
      /init_lora_weights is "\w+": an initialisation that changes the base, .* with path_initial_model_for_weight_conve/,
    );
  },
);

test.each(["LOHA", "IA3", "ADALORA", undefined])(
  "an adapter of the type %s is refused for that alone",
  async (peft_type) => {
    const read = readPeftAdapter(await foreign({ peft_type, r: "x" }, pair(QUERY, 8)));
    await expect(read).rejects.toThrow(/cannot be used: peft_type must be "LORA", not .*; merge the adapter in PEFT/);
  },
);

test("a parameter that is targeted must have its tensors", async () => {
  const folder = await foreign(
    { peft_type: "LORA", target_parameters: ["q_proj.weight", "mlp.experts"] },
    pair(QUERY, 8),
  );
  await expect(readPeftAdapter(folder)).rejects.toThrow(
    "target_parameters names mlp.experts, but there are no tensors",
  );
});

test("names of modules_to_save are ends of a path's text", async () => {
  const folder = await foreign(
    { peft_type: "LORA", target_modules: ["q_proj"], modules_to_save: ["norm", "p_proj"] },
    {
      ...pair(QUERY, 8),
      "base_model.model.model.layers.0.post_layernorm.weight": tensor(1),
      "base_model.model.model.layers.0.mlp.up_proj.weight": tensor(1),
    },
  );
  const saved = [...(await readPeftAdapter(folder)).modulesToSave.keys()].sort();
  expect(saved).toEqual(["model.layers.0.mlp.up_proj.weight", "model.layers.0.post_layernorm.weight"]);
});

test("tensors that do not fit the rank, the targets or any pair are named together", async () => {
  const config = { peft_type: "LORA", r: 2, target_modules: ["q_proj"], modules_to_save: ["lm_head"] };
  const folder = await foreign(config, {
    ...pair(QUERY, 3),
    ...pair("model.layers.0.mlp.xq_proj", 2),
    "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight": tensor(2, 3),
    "base_model.model.model.embed_tokens.lora_embedding_A": tensor(2, 3),
    "base_model.model.lm_head_x.weight": tensor(1),
    "model.lm_head.weight": tensor(1),
    "base_model.model.lm_head.weight": tensor(1),
  });
  const read = readPeftAdapter(folder);
  await expect(read).rejects.toThrow(CheckpointError);
  for (const fault of [
    "7 faults",
    `${QUERY}: lora_A must be float32 of shape (2, in), not float32 of shape (3, 3)`,
    `${QUERY}: lora_B must be float32 of shape (out, 2), not float32 of shape (4, 3)`,
    "model.layers.0.mlp.xq_proj has LoRA tensors but target_modules (q_proj) does not name it",
    "model.layers.1.self_attn.q_proj has lora_A but no lora_B",
    "model.embed_tokens has lora_embedding_A but no lora_embedding_B",
    '"base_model.model.lm_head_x.weight" is neither',
    '"model.lm_head.weight" is neither',
  ]) {
    await expect(read).rejects.toThrow(fault);
  }
});

test("an adapter's name left in the keys is dropped", async () => {
  const folder = await foreign(
    { peft_type: "LORA", r: 2, modules_to_save: ["lm_head"] },
    {
      [`base_model.model.${QUERY}.lora_A.default.weight`]: tensor(2, 3),
      [`base_model.model.${QUERY}.lora_B.default.weight`]: tensor(4, 2),
      "base_model.model.lm_head.modules_to_save.default.weight": tensor(1),
    },
  );
  const read = await readPeftAdapter(folder);
  expect([[...read.layers.keys()], [...read.modulesToSave.keys()]]).toEqual([[QUERY], ["lm_head.weight"]]);
});

test("a pickled adapter is refused with the way out, a missing one is named", async () => {
  const folder = path.join(root, "pickled");
  await expect(readPeftAdapter(folder)).rejects.toThrow("adapter_model.safetensors is missing");
  await mkdir(folder);
  await writeFile(path.join(folder, "adapter_model.bin"), "");
  await expect(readPeftAdapter(folder)).rejects.toThrow("safe_serialization=True");
});

test("an adapter of mlx-lm is read: its factors are turned, and its scale is the scaling", async () => {
  const folder = path.join(root, "mlx");
  await mkdir(folder);
  const fields = { fine_tune_type: "dora", num_layers: 2, lora_parameters: { rank: 2, scale: 2.5, dropout: 0.1 } };
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(fields));
  const matrix = (shape: number[], data: number[]) =>
    ({ dtype: "float32", shape, data: Float32Array.from(data) }) as const;
  const tensors = {
    [`${QUERY}.lora_a`]: matrix([3, 2], [1, 2, 3, 4, 5, 6]),
    [`${QUERY}.lora_b`]: matrix([2, 1], [7, 8]),
    [`${QUERY}.m`]: matrix([1], [9]),
  };
  await writeSafetensors(path.join(folder, "adapters.safetensors"), new Map(Object.entries(tensors)));
  const read = await readPeftAdapter(folder);
  expect(read).toMatchObject({ rank: 2, alpha: 5, dropout: 0.1, useDora: true, useRslora: false });
  expect(read.layers.get(QUERY)).toEqual({
    loraA: matrix([2, 3], [1, 3, 5, 2, 4, 6]),
    loraB: matrix([1, 2], [7, 8]),
    magnitude: matrix([1], [9]),
  });
  const whole = { fine_tune_type: "full", lora_parameters: null };
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(whole));
  await expect(readPeftAdapter(folder)).rejects.toThrow(/fine_tune_type must be .*, not "full"; write .* mlx_lm.fuse/);
  await expect(readPeftAdapter(folder)).rejects.toThrow(
    "lora_parameters must have numbers for rank and scale, not null",
  );
});

test("adapters in folders of their own are named", async () => {
  const folder = path.join(root, "several");
  for (const name of ["poems", "recipes"]) await writePeftAdapter(path.join(folder, name), adapter);
  await expect(readPeftAdapter(folder)).rejects.toThrow(
    `holds the adapters poems, recipes in folders of their own; name one of them, as ${folder}/poems`,
  );
  expect(await namedAdapters(folder)).toEqual(["poems", "recipes"]);
});

test("an adapter whose factors do not fit its rank is not written", async () => {
  const folder = path.join(root, "misfit");
  await expect(writePeftAdapter(folder, { ...adapter, rank: 3 })).rejects.toThrow(
    "lora_A must be float32 of shape (3, in)",
  );
});

test("tables that were resized and are trained in full come twice, with what they were before beside them", () => {
  const names = ["weight", "modules_to_save.weight", "original_module.weight"].map(
    (end) => `base_model.model.lm_head.${end}`,
  );
  const rule = { modulesToSave: ["lm_head"], bias: "none", loraBias: false, useDora: null, tokenIndices: {} } as const;
  const faults: string[] = [];
  const tensors = new Map(names.map((name) => [name, name.includes("original") ? "before" : "trained"]));
  expect([...sortTensors(tensors, rule, faults).modulesToSave]).toEqual([["lm_head.weight", "trained"]]);
  expect(faults).toEqual([]);
});
