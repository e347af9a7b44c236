import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { readModelFolder } from "../../src/formats/model-folder.js";
import { presetSource, saveModel } from "../../src/loading/model-source.js";
import { mergeTarget } from "../../src/verbs/merge.js";
import {
  ARCHITECTURES,
  type Computed,
  computeFolder,
  configOf,
  logitsApart,
  type Read,
  readLogits,
  SMALL,
  someRows,
} from "./folders.js";
import { ask, describePeers, record, refusal } from "./peer.js";

/** Of the loss, and of each logit as a share of the largest. */
const TOLERANCE = 2e-5;
/** More tokens than the windows, and than the lengths from which on positions are stretched. */
const ROWS = someRows(SMALL.vocab_size, 2, 24);

const root = mkdtempSync(path.join(tmpdir(), "highrank-models-"));
afterAll(() => rmSync(root, { recursive: true }));

/** How transformers writes a model: changes of the config, and arguments of `model_folders.write`. */
interface Option {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly write?: Readonly<Record<string, unknown>>;
}

const LONG = { short_factor: [1, 1.1, 1.3, 1.6], long_factor: [1.5, 2, 4, 8] };
const YARN = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 2000 };
const ROPES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  linear: { rope_type: "linear", factor: 3 },
  llama3: {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 60,
  },
  yarn: YARN,
  "yarn, not truncated": { ...YARN, truncate: false, beta_fast: 4, beta_slow: 0.5 },
  "yarn, with factors of its own": { ...YARN, mscale: 0.8, mscale_all_dim: 1.3 },
  longrope: { rope_type: "longrope", original_max_position_embeddings: 32, ...LONG },
  "longrope, of a long text": { rope_type: "longrope", original_max_position_embeddings: 16, ...LONG },
  dynamic: { rope_type: "dynamic", factor: 3 },
  proportional: { rope_type: "proportional", partial_rotary_factor: 0.5, factor: 2 },
};

/** Kinds of positions that the library itself takes for a type. */
const kindsOf = (type: string): [string, Readonly<Record<string, unknown>>][] =>
  Object.entries(ROPES).filter(([kind]) => type !== "phi3" || kind.startsWith("longrope"));

/** A config with these positions. share: of each head, that turns; those of Gemma 3's windows are others. */
function positions(type: string, kind: string, scaling: Readonly<Record<string, unknown>>, share: number): Option {
  const halves = (factors: unknown): unknown => (factors as number[] | undefined)?.slice(0, 4 * share);
  const { short_factor, long_factor, ...rest } = scaling;
  const factors = short_factor !== undefined && {
    short_factor: halves(short_factor),
    long_factor: halves(long_factor),
  };
  const rotary = { rope_theta: 700, ...(type === "gpt_neox" || share < 1 ? { partial_rotary_factor: share } : {}) };
  const whole = { ...rotary, ...rest, ...factors };
  const plain = { rope_type: "default", rope_theta: 90 };
  const parameters =
    type !== "gemma3_text"
      ? whole
      : kind.endsWith(", in windows")
        ? { full_attention: plain, sliding_attention: whole }
        : { full_attention: whole, sliding_attention: plain };
  const lengths = { original_max_position_embeddings: scaling.original_max_position_embeddings };
  const shorter = scaling.rope_type === "dynamic" && { max_position_embeddings: 16 };
  return { config: { rope_parameters: parameters, ...(type === "phi3" && lengths), ...shorter } };
}

function ropeOptions(type: string): Record<string, Option> {
  const options: Record<string, Option> = {};
  const add = (kind: string, scaling: Readonly<Record<string, unknown>>, share = 1): void => {
    options[kind] = positions(type, kind, scaling, share);
    const { config } = options[kind];
    options[`${kind}, tied, bfloat16, in many files`] = {
      config: { ...config, tie_word_embeddings: true },
      write: { dtype: "bfloat16", max_shard_size: "8KB" },
    };
  };
  for (const [kind, scaling] of kindsOf(type)) {
    // Of the few pairs of a small head, some kinds turn all as others do.
    if (type !== "gemma3_text" || kind !== "yarn, not truncated") add(kind, scaling);
    if (type === "gemma3_text" && kind !== "yarn, not truncated") add(`${kind}, in windows`, scaling);
    if ((type === "gpt_neox" || type === "phi3") && kind !== "proportional") {
      add(`${kind}, of half of each head`, scaling, 0.5);
    }
  }
  return options;
}

const TIES: Record<string, Option> = {
  tied: { config: { tie_word_embeddings: true } },
  untied: { config: { tie_word_embeddings: false } },
  "tied, with a head of its own": { config: { tie_word_embeddings: true }, write: { head: "own" } },
  "tied, with the table once more": { config: { tie_word_embeddings: true }, write: { head: "same" } },
  "tied, in many files, with a head of its own": {
    config: { tie_word_embeddings: true },
    write: { head: "own", max_shard_size: "8KB" },
  },
};
const WRITING: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "in many files": { max_shard_size: "8KB" },
  bfloat16: { dtype: "bfloat16" },
  float16: { dtype: "float16" },
  "bfloat16, in many files": { dtype: "bfloat16", max_shard_size: "8KB" },
};
const FILES: Record<string, Option> = Object.fromEntries(
  Object.entries(WRITING).flatMap(([name, write]) => [
    [name, { write }],
    [`tied, ${name}`, { config: { tie_word_embeddings: true }, write }],
    [`untied, ${name}`, { config: { tie_word_embeddings: false }, write }],
  ]),
);
const PREFIX: Record<string, string> = { gpt2: "transformer.", gpt_neox: "gpt_neox." };

function nameOptions(type: string): Record<string, Option> {
  const prefix = PREFIX[type] ?? "model.";
  const table = { gpt2: "transformer.wte", gpt_neox: "gpt_neox.embed_in" }[type] ?? "model.embed_tokens";
  const head = type === "gpt_neox" ? "embed_out" : "lm_head";
  return {
    "names without prefix": { write: { rename: [[prefix, ""]] } },
    "tied, names with two prefixes": { config: { tie_word_embeddings: true }, write: { rename: [["", prefix]] } },
    "tied, names without prefix, in many files": {
      config: { tie_word_embeddings: true },
      write: { rename: [[prefix, ""]], max_shard_size: "8KB" },
    },
    "tied, the head alone": { config: { tie_word_embeddings: true }, write: { rename: [[table, head]] } },
  };
}

const WINDOW: Option = { config: { sliding_window: 3 } };
const OWN: Readonly<Record<string, Record<string, Option>>> = {
  llama: {
    biases: { config: { attention_bias: true, mlp_bias: true } },
    "biases in attention": { config: { attention_bias: true } },
    "biases in MLPs": { config: { mlp_bias: true } },
    "heads of another size": { config: { head_dim: 12 } },
    "one key head": { config: { num_key_value_heads: 1 } },
    "gelu and another epsilon": { config: { hidden_act: "gelu", rms_norm_eps: 0.1 } },
  },
  mistral: {
    "no window": { config: { sliding_window: null } },
    "another window": WINDOW,
    "heads of another size": { config: { head_dim: 12 } },
  },
  qwen2: {
    "no windows": { config: { use_sliding_window: false } },
    "windows by layer": { config: { layer_types: ["sliding_attention", "full_attention"] } },
    "windows in all layers": { config: { max_window_layers: 0 } },
    "another window": WINDOW,
  },
  qwen3: {
    biases: { config: { attention_bias: true } },
    "no windows": { config: { use_sliding_window: false } },
    "heads of another size": { config: { head_dim: 12 } },
    "windows by layer": { config: { layer_types: ["sliding_attention", "full_attention"] } },
    "windows in all layers": { config: { max_window_layers: 0 } },
    "another window": WINDOW,
    "biases, a narrow window": { config: { attention_bias: true, sliding_window: 3 } },
  },
  phi3: {
    "no window": { config: { sliding_window: null } },
    "another window": WINDOW,
    "shared key heads": { config: { num_key_value_heads: 2 } },
    "half of each head turns": { config: { partial_rotary_factor: 0.5 } },
    "heads of another size": { config: { head_dim: 12 } },
  },
  gemma3_text: {
    biases: { config: { attention_bias: true } },
    "capped logits": { config: { final_logit_softcapping: 2.5 } },
    "another scale": { config: { query_pre_attn_scalar: 5 } },
    "heads of another size": { config: { head_dim: 12 } },
    "two bases": {
      config: {
        rope_parameters: {
          sliding_attention: { rope_type: "default", rope_theta: 50 },
          full_attention: { rope_type: "default", rope_theta: 900 },
        },
      },
    },
    "windows in all layers": { config: { layer_types: ["sliding_attention", "sliding_attention"] } },
    "no windows": { config: { layer_types: ["full_attention", "full_attention"] } },
    "another window": WINDOW,
    "biases, a narrow window": { config: { attention_bias: true, sliding_window: 3 } },
  },
  gpt2: {
    "scores by layer": { config: { scale_attn_by_inverse_layer_idx: true } },
    "scores as they are": { config: { scale_attn_weights: false } },
    "another inner size and gelu": { config: { n_inner: 40, activation_function: "gelu" } },
  },
  gpt_neox: {
    "one block after the other": { config: { use_parallel_residual: false } },
    "no biases in attention": { config: { attention_bias: false } },
    "half of each head turns": { config: { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } } },
  },
};

const CASES = Object.keys(ARCHITECTURES).flatMap((type) =>
  Object.entries({
    "as it is": {},
    ...TIES,
    ...FILES,
    ...nameOptions(type),
    ...OWN[type],
    ...(type !== "gpt2" && ropeOptions(type)),
  }).map(([option, how]) => [type, option, how as Option] as const),
);

const EXPERTS = { num_experts: 2, num_local_experts: 2, num_experts_per_tok: 1, moe_intermediate_size: 16 };
const MIXTURES = ["mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss"];

async function transformersReads(folder: string): Promise<Read & Computed> {
  const file = `${folder}.logits`;
  const read = await ask<Read>("model_folders", "read", { folder, ids: ROWS, logits: file });
  return { ...read, logits: (await readLogits(file)).get("logits")! };
}

async function write(type: string, name: string, { config, write: how }: Option): Promise<string> {
  const folder = path.join(root, `${type} ${name}`.replaceAll(/\W+/g, "-"));
  if (existsSync(folder)) return folder;
  await ask("model_folders", "write", {
    ...{ folder, config: { model_type: type, ...ARCHITECTURES[type], ...config } },
    ...how,
  });
  return folder;
}

describePeers("folders of transformers", () => {
  test.each(CASES)("%s, %s: the same loss and logits", async (type, option, how) => {
    const folder = await write(type, option, how);
    const theirs = await transformersReads(folder);
    expect({ missing: theirs.missing, unexpected: theirs.unexpected }).toEqual({ missing: [], unexpected: [] });
    const ours = await computeFolder(folder, ROWS);
    record(`${type}, ${option}`, { theirs: theirs.loss, ours: ours.loss });
    expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(TOLERANCE);
    expect(logitsApart(ours.logits, theirs.logits)).toBeLessThan(TOLERANCE);
  });

  test.each(MIXTURES)("%s: a mixture of experts is refused by name", async (type) => {
    await ask("model_folders", "write", {
      folder: path.join(root, type),
      config: { model_type: type, ...SMALL, ...EXPERTS },
    });
    const said = await refusal(computeFolder(path.join(root, type), ROWS));
    record(`${type}, a mixture of experts`, { refused: said });
    expect(said).toContain(`"${type}"`);
  });

  test.each(Object.entries(ROPES).filter(([kind]) => !kind.startsWith("longrope")))(
    "phi3, %s: refused by name, since transformers has no such Phi 3",
    async (kind, scaling) => {
      const folder = await write("phi3", kind, {});
      const config = { ...configOf(folder), rope_parameters: { rope_theta: 700, ...scaling } };
      writeFileSync(path.join(folder, "config.json"), JSON.stringify(config));
      await expect(transformersReads(folder)).rejects.toThrow("rope_parameters");
      const said = await refusal(computeFolder(folder, ROWS));
      record(`phi3, ${kind}`, { refused: said });
      expect(said).toContain("config.json: rope_parameters: ");
    },
  );

  test.each(Object.keys(ARCHITECTURES))("%s: no two options compute the same", async (type) => {
    const losses = new Map<string, string>();
    for (const [, option, how] of CASES.filter(([each]) => each === type)) {
      if (how.write !== undefined) continue;
      const { loss } = await computeFolder(await write(type, option, how), ROWS);
      losses.set(loss.toFixed(7), [losses.get(loss.toFixed(7)), option].filter(Boolean).join(" = "));
    }
    const usual =
      (ARCHITECTURES[type]!.tie_word_embeddings ?? ["gpt2", "gemma3_text"].includes(type)) ? "tied" : "untied";
    expect([...losses.values()].filter((options) => options.includes("="))).toEqual([`as it is = ${usual}`]);
  });

  const WRAPPED = ["_orig_mod.", "module.", "base_model.model.", "language_model."];
  test.each(WRAPPED)(
    "names that begin with %s are refused, since transformers has no place for them",
    async (wrapper) => {
      const folder = await write("llama", wrapper, { write: { rename: [["", wrapper]] } });
      expect((await transformersReads(folder)).missing.length).toBeGreaterThan(10);
      const said = await refusal(computeFolder(folder, ROWS));
      record(`llama, names that begin with ${wrapper}`, { refused: said });
      expect(said).toContain(`names of weights begin with "${wrapper}"`);
    },
  );

  test("an untied model without a head is refused; transformers draws one at random", async () => {
    const folder = await write("llama", "headless", { write: { drop: ["lm_head.weight"] } });
    expect((await transformersReads(folder)).missing).toEqual(["lm_head.weight"]);
    const said = await refusal(computeFolder(folder, ROWS));
    record("llama, untied and without a head", { refused: said });
    expect(said).toContain('"lm_head.weight" is missing; if the embedding table is');
  });

  test("a weight of a layer that the config has no place for is refused; transformers leaves it out", async () => {
    const name = "model.layers.1.self_attn.q_proj.bias";
    const folder = await write("llama", "a bias too many", { write: { add: { [name]: Array(32).fill(0.5) } } });
    expect((await transformersReads(folder)).unexpected).toEqual([name]);
    const said = await refusal(computeFolder(folder, ROWS));
    record("llama, a bias without a place", { refused: said });
    expect(said).toContain(`"${name}" has no place in the model`);
  });
});

describePeers("transformers reads", () => {
  const WRITTEN = CASES.filter(([, option]) =>
    [
      "as it is",
      "tied, with a head of its own",
      "tied, in many files, with a head of its own",
      "untied",
      "yarn",
      "tied, the head alone",
      "names without prefix",
      "in many files",
      "bfloat16, in many files",
    ].includes(option),
  );
  test.each(WRITTEN)("what merge writes of %s, %s", async (type, option, how) => {
    const from = await write(type, option, how);
    const out = `${from}-merged`;
    await mergeTarget(from, { out, base: null, dtype: null, verify: false });
    const [before, after] = [await transformersReads(from), await transformersReads(out)];
    expect(after).toMatchObject({ missing: [], unexpected: [], mismatched: [], warnings: [] });
    expect(after.loss).toBe(before.loss);
    expect(after.logits).toEqual(before.logits);
    if (option.includes("head of its own")) expect(configOf(out).tie_word_embeddings).toBe(false);
  });

  test("a model that starts here", async () => {
    const source = presetSource("tiny", { vocabSize: SMALL.vocab_size, maxSequenceLength: 64, endOfTextId: 2 }, 5);
    const folder = path.join(root, "preset");
    await saveModel(folder, source, new Map());
    const theirs = await transformersReads(folder);
    expect(theirs).toMatchObject({ missing: [], unexpected: [], mismatched: [], warnings: [] });
    const ours = await computeFolder(folder, ROWS);
    expect(Math.abs(ours.loss / theirs.loss - 1)).toBeLessThan(TOLERANCE);
    expect(logitsApart(ours.logits, theirs.logits)).toBeLessThan(TOLERANCE);
    expect((await readModelFolder(folder)).config.tie_word_embeddings).toBe(false);
  });
});
