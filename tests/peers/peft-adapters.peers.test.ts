import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolveSettings } from "../../src/config/resolve.js";
import type { Settings } from "../../src/config/settings.js";
import { openSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import { trainTokenizer } from "../../src/tokenizers/train-tokenizer.js";
import { train } from "../../src/training/train.js";
import { evaluateTarget } from "../../src/verbs/evaluate.js";
import { exportPeft } from "../../src/verbs/export-peft.js";
import { mergeTarget } from "../../src/verbs/merge.js";
import { openTarget } from "../../src/verbs/target.js";
import { TEXT } from "../small-model.js";
import { ask, describePeers, record, refusal } from "./peer.js";

interface Case {
  readonly base: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly kind?: string;
  readonly dtype?: string;
  /** What adapter_config.json says besides, of what PEFT writes only after preparations that are beside the point. */
  readonly says?: Readonly<Record<string, unknown>>;
}

const BASES = ["llama", "tied", "gpt2", "qwen2", "phi3", "gemma3", "wide", "mistral", "qwen3", "neox", "tied neox"];
const lora = (base: string, config: Readonly<Record<string, unknown>>): Case => {
  return { base, config: { r: 4, lora_alpha: 8, ...config } };
};
const q = { target_modules: ["q_proj"] };
const gpt2 = { target_modules: ["c_attn", "mlp.c_proj"], fan_in_fan_out: true };
const all = { target_modules: "all-linear" };

/** Options of PEFT with which we compute what it computes. */
const EQUAL: Readonly<Record<string, Case>> = {
  "the targets that PEFT chooses": lora("llama", {}),
  "the targets that PEFT chooses, gpt2": lora("gpt2", {}),
  "ends of paths": lora("llama", { target_modules: ["q_proj", "mlp.up_proj"], lora_dropout: 0.1 }),
  "all linear layers, rsLoRA": lora("llama", { target_modules: "ALL-linear", use_rslora: true }),
  "all linear layers, gemma3": lora("gemma3", all),
  ...Object.fromEntries(
    ["tied", "gpt2", "qwen2", "phi3", "mistral", "qwen3", "neox"].flatMap((base) => [
      [`all linear layers, ${base}`, lora(base, { ...all, fan_in_fan_out: base === "gpt2" })],
      [`all linear layers, DoRA and rsLoRA, ${base}`, lora(base, { ...all, use_dora: true, use_rslora: true })],
    ]),
  ),
  "the targets that PEFT chooses, neox": lora("neox", {}),
  "all biases, neox": lora("neox", { ...all, bias: "all" }),
  "biases of adapted layers, neox": lora("neox", { target_modules: ["query_key_value"], bias: "lora_only" }),
  "norms in full, and a name of none, neox": lora("neox", {
    ...all,
    modules_to_save: ["final_layer_norm", "embed_out"],
  }),
  "norms and head in full, neox": lora("neox", {
    ...{ ...all, modules_to_save: ["final_layer_norm", "lm_head"] },
  }),
  "the head, neox": lora("neox", { target_modules: ["query_key_value", "lm_head"] }),
  "the head by a regular expression, neox": lora("neox", { target_modules: ".*(query_key_value|lm_head)" }),
  "the head by another regular expression, with patterns, neox": lora("neox", {
    ...{ target_modules: ".*(query_key_value|_head)", use_dora: true },
    ...{ rank_pattern: { ".*_head": 2, query_key_value: 3 }, alpha_pattern: { lm_head: 5 } },
  }),
  "the head but for layers that are excluded, neox": lora("neox", {
    ...{ target_modules: ["dense", "lm_head", "embed_in"], exclude_modules: ".*attention.*" },
  }),
  "the head as a parameter, neox": lora("neox", {
    ...{ target_modules: [], target_parameters: ["lm_head.weight"], rank_pattern: { "lm_head.weight": 2 } },
  }),
  "tokens of both, neox": lora("neox", {
    ...{ target_modules: ["query_key_value"], trainable_token_indices: { lm_head: [4, 5], embed_in: [7] } },
  }),
  "tied: the head, neox": lora("tied neox", { target_modules: ["lm_head"] }),
  "tied, in full: the head, neox": lora("tied neox", {
    ...{ target_modules: ["query_key_value"], modules_to_save: ["lm_head"] },
  }),
  "tied: tokens of the head, neox": lora("tied neox", {
    ...{ target_modules: ["query_key_value"], trainable_token_indices: { lm_head: [3, 8] } },
  }),
  "norms of heads in full, qwen3": lora("qwen3", { ...q, modules_to_save: ["q_norm", "k_norm"] }),
  rsLoRA: lora("llama", { ...q, use_rslora: true }),
  "rank one, a fraction as alpha": lora("llama", { ...q, r: 1, lora_alpha: 2.5 }),
  "alpha zero but by a pattern": lora("llama", { ...all, lora_alpha: 0, alpha_pattern: { q_proj: 4 } }),
  "a rank above the layer's size": lora("llama", { ...q, r: 40 }),
  "fused layers, DoRA, phi3": lora("phi3", { ...all, use_dora: true }),
  "patterns of ranks and alphas": lora("llama", {
    ...{ ...all, use_rslora: true },
    rank_pattern: { q_proj: 2, "layers\\.1\\.mlp.*": 3, "^model.layers.2.mlp.down_proj": 5 },
    alpha_pattern: { "model.layers.0.self_attn.(k|v)_proj": 11, "1.mlp.down_proj": 2 },
  }),
  "a regular expression with a named group, and one that excludes": lora("llama", {
    ...{ target_modules: "model\\.layers\\.\\d+\\..*(?P<which>q|up|down)_proj", exclude_modules: ".*\\.1\\..*up_proj" },
  }),
  "excluded names": lora("llama", { ...all, exclude_modules: ["down_proj", "1.self_attn.q_proj"] }),
  "some layers": lora("llama", {
    ...{ target_modules: ["v_proj", "model.layers.0.mlp.up_proj", "down_proj"], layers_pattern: "layers" },
    ...{ layers_to_transform: [1, 2], exclude_modules: ["2.mlp.down_proj"] },
  }),
  "one layer, gpt2": lora("gpt2", { ...gpt2, layers_to_transform: 1, layers_pattern: ["layers", "h"] }),
  "no layers, which is all": lora("llama", { ...q, layers_to_transform: [] }),
  DoRA: lora("llama", { ...all, use_dora: true, rank_pattern: { up_proj: 1 } }),
  "DoRA, gpt2": lora("gpt2", { ...gpt2, use_dora: true }),
  "DoRA with rsLoRA and biases under it": lora("qwen2", { ...all, use_dora: true, use_rslora: true }),
  "DoRA of the output projection": lora("llama", { target_modules: ["q_proj", "lm_head"], use_dora: true }),
  "DoRA of the table": lora("llama", { target_modules: ["q_proj", "embed_tokens"], use_dora: true }),
  "DoRA of a scaled table": lora("gemma3", { target_modules: ["q_proj", "embed_tokens"], use_dora: true }),
  "a bias of B": lora("llama", { ...all, lora_bias: true }),
  "a bias of B beside a bias, and all biases": lora("qwen2", { ...q, lora_bias: true, bias: "all" }),
  "all biases, gpt2": lora("gpt2", { ...gpt2, bias: "all" }),
  "biases of adapted layers, gpt2": lora("gpt2", { ...gpt2, bias: "lora_only" }),
  "biases of adapted layers, qwen2": lora("qwen2", { target_modules: ["q_proj", "o_proj"], bias: "lora_only" }),
  "all biases where there are none": lora("llama", { ...q, bias: "all" }),
  "in full: norms by the end of their names' text": lora("llama", {
    ...q,
    modules_to_save: ["input_layernorm", "norm"],
  }),
  "in full: norms of gemma3": lora("gemma3", { ...q, modules_to_save: ["norm"] }),
  "in full: a projection by a part of its name": lora("llama", { ...q, modules_to_save: ["p_proj"] }),
  "in full: a projection that is targeted too": lora("llama", { ...all, modules_to_save: ["up_proj"] }),
  "in full: a whole layer": lora("llama", { target_modules: ["q_proj", "up_proj"], modules_to_save: ["layers.1"] }),
  "in full: table and head": lora("llama", { ...q, modules_to_save: ["embed_tokens", "lm_head"] }),
  "in full, gpt2": lora("gpt2", { ...gpt2, modules_to_save: ["ln_f", "c_fc"] }),
  "in full: tables of gpt2 by a part of their names": lora("gpt2", { ...gpt2, modules_to_save: ["te", "pe"] }),
  "tied, in full: the table": lora("tied", { ...q, modules_to_save: ["embed_tokens"] }),
  "tied, in full: the head": lora("tied", { ...q, modules_to_save: ["lm_head"] }),
  "tied, in full: both, apart": lora("gemma3", { ...q, modules_to_save: ["embed_tokens", "lm_head"] }),
  "tied, in full: both as one": lora("tied", { ...q, modules_to_save: ["lm_head"], ensure_weight_tying: true }),
  "tied: the table": lora("tied", { target_modules: ["q_proj", "embed_tokens"] }),
  "tied: the head": lora("tied", { target_modules: ["q_proj", "lm_head"] }),
  "tied: both, apart": lora("tied", { target_modules: ["q_proj", "embed_tokens", "lm_head"] }),
  "tied: both as one": lora("tied", { target_modules: ["q_proj", "embed_tokens"], ensure_weight_tying: true }),
  "tied: both as one, by a regular expression": lora("tied", {
    ...{ target_modules: ".*(q_proj|embed_tokens)", ensure_weight_tying: true },
  }),
  "tied: both as one, with patterns": lora("tied", {
    ...{ target_modules: ["q_proj", "lm_head"], ensure_weight_tying: true, use_rslora: true },
    ...{ rank_pattern: { embed_tokens: 2 }, alpha_pattern: { lm_head: 3 } },
  }),
  "tied: a table that PEFT does not know, gpt2": lora("gpt2", {
    ...{ target_modules: ["c_attn", "wte"], fan_in_fan_out: true, ensure_weight_tying: true },
  }),
  "tied: a scaled table": lora("gemma3", { target_modules: ["q_proj", "embed_tokens"] }),
  "table and head": lora("llama", { target_modules: ["q_proj", "embed_tokens", "lm_head"] }),
  positions: lora("gpt2", { target_modules: ["wpe"] }),
  "tokens of the table": lora("llama", { ...q, trainable_token_indices: [3, 90, 8] }),
  "tokens of the table, gpt2": lora("gpt2", { ...gpt2, trainable_token_indices: [3, 8] }),
  "tokens of both": lora("llama", { ...q, trainable_token_indices: { embed_tokens: [3, 8], lm_head: [1, 8] } }),
  "tied: tokens of the table": lora("gemma3", { ...q, trainable_token_indices: [3, 8] }),
  "tied: tokens of the head": lora("tied", { ...q, trainable_token_indices: { lm_head: [3, 8] } }),
  "tied: the same tokens of both": lora("tied", {
    ...{ ...q, trainable_token_indices: { embed_tokens: [3, 8], lm_head: [3, 8] } },
  }),
  "tied: other tokens of both": lora("tied", {
    ...{ ...q, trainable_token_indices: { embed_tokens: [3, 8], lm_head: [5, 8] } },
  }),
  "parameters and modules": lora("llama", {
    ...{ target_modules: ["v_proj"], target_parameters: ["mlp.up_proj.weight", "q_proj.weight"] },
    ...{ rank_pattern: { q_proj: 2, "up_proj.weight": 3 }, alpha_pattern: { "q_proj.weight": 3 } },
  }),
  "parameters as gpt2 holds them": lora("gpt2", { target_modules: [], target_parameters: ["attn.c_attn.weight"] }),
  "a parameter that is tied": lora("tied", { target_modules: [], target_parameters: ["embed_tokens.weight"] }),
  "the head as a parameter": lora("llama", { target_modules: [], target_parameters: ["lm_head.weight"] }),
  ...Object.fromEntries(
    ["gaussian", "orthogonal", "mica", "eva", false].map((kind) => [
      `initialisation ${kind}`,
      lora("llama", { ...q, init_lora_weights: kind }),
    ]),
  ),
  ...Object.fromEntries(
    ["bfloat16", "float16"].map((dtype) => [dtype, { ...lora("llama", { ...all, bias: "all" }), dtype }]),
  ),
  "options of initialisations that are not used": lora("llama", {
    ...{ ...q, corda_config: { corda_method: "kpm" }, lora_ga_config: { direction: "ArB2r" } },
  }),
  "bfloat16, DoRA": { ...lora("llama", { ...all, use_dora: true }), dtype: "bfloat16" },
  VeLoRA: lora("llama", { ...q, velora_config: {} }),
};

/** What is refused, by the words for it. */
const REFUSED: Readonly<Record<string, readonly [words: string, example: Case]>> = {
  "a pattern of layers that is an expression": [
    "layers_pattern must be a name",
    lora("llama", { ...q, layers_to_transform: [1], layers_pattern: ["lay.*"] }),
  ],
  "a bias of the output projection": [
    "lora_bias on the output projection is not supported",
    lora("llama", { target_modules: ["lm_head"], lora_bias: true }),
  ],
  ...Object.fromEntries(
    ["pissa", "pissa_niter_4", "olora", "lora_ga"].map((kind) => [
      kind,
      [`init_lora_weights is "${kind}"`, lora("llama", { ...q, init_lora_weights: kind })] as const,
    ]),
  ),
  ...Object.fromEntries(
    ["corda", "loftq"].map((kind) => [
      kind,
      [`init_lora_weights is "${kind}"`, { ...lora("llama", q), says: { init_lora_weights: kind } }] as const,
    ]),
  ),
  Arrow: [
    "the variant arrow is not supported",
    { ...lora("llama", q), says: { arrow_config: { top_k: 2, router_temperature: 1 } } },
  ],
  "replicated layers": [
    "layer_replication is",
    lora("llama", {
      ...q,
      layer_replication: [
        [0, 2],
        [1, 3],
      ],
    }),
  ],
  aLoRA: ["aLoRA is not supported", lora("llama", { ...q, alora_invocation_tokens: [3, 8] })],
  "QA-LoRA": ["QA-LoRA is not supported", lora("llama", { ...q, use_qalora: true })],
  "BD-LoRA": [
    "BD-LoRA is not supported",
    lora("llama", {
      target_modules: ["q_proj", "o_proj"],
      use_bdlora: { target_modules_bd_a: ["o_proj"], target_modules_bd_b: ["q_proj"], nblocks: 2 },
    }),
  ],
  KaSA: ["the variant kasa is not supported", lora("llama", { ...q, kasa_config: {} })],
  MonteCLoRA: ["the variant monteclora is not supported", lora("llama", { ...q, monteclora_config: {} })],
  ...Object.fromEntries(
    (
      [
        ["AdaLora", "ADALORA", { ...q, init_r: 4, total_step: 10 }],
        ["AdaptionPrompt", "ADAPTION_PROMPT", { adapter_len: 3, adapter_layers: 2 }],
        ["Beft", "BEFT", q],
        ["BOFT", "BOFT", { ...q, boft_block_size: 4 }],
        ["C3A", "C3A", { ...q, block_size: 8 }],
        ["Cartridge", "CARTRIDGE", { num_virtual_tokens: 3 }],
        ["CPT", "CPT", { cpt_token_ids: [3, 4], cpt_mask: [1, 1], cpt_tokens_type_mask: [1, 1] }],
        ["Deft", "DEFT", q],
        ["Delora", "DELORA", q],
        ["FourierFT", "FOURIERFT", { ...q, n_frequency: 50 }],
        ["Frod", "FROD", q],
        ["Glora", "GLORA", q],
        ["Gralora", "GRALORA", q],
        ["Hira", "HIRA", q],
        ["HRA", "HRA", q],
        ["IA3", "IA3", { target_modules: ["k_proj", "down_proj"], feedforward_modules: ["down_proj"] }],
        ["Lily", "LILY", q],
        ["LNTuning", "LN_TUNING", { target_modules: ["input_layernorm"] }],
        ["LoHa", "LOHA", { ...q, r: 4 }],
        ["LoKr", "LOKR", { ...q, r: 4 }],
        ["Miss", "MISS", { ...q, r: 4 }],
        ["MultitaskPromptTuning", "MULTITASK_PROMPT_TUNING", { num_virtual_tokens: 3, num_tasks: 1 }],
        ["OFT", "OFT", { ...q, oft_block_size: 4 }],
        ["OSF", "OSF", q],
        ["Peanut", "PEANUT", q],
        ["Poly", "POLY", q],
        ["PrefixTuning", "PREFIX_TUNING", { num_virtual_tokens: 3 }],
        ["PromptEncoder", "P_TUNING", { num_virtual_tokens: 3 }],
        ["PromptTuning", "PROMPT_TUNING", { num_virtual_tokens: 3 }],
        ["Psoft", "PSOFT", q],
        ["Pvera", "PVERA", q],
        ["RandLora", "RANDLORA", q],
        ["Road", "ROAD", { ...q, group_size: 8 }],
        ["Shira", "SHIRA", { ...q, r: 4 }],
        ["Supertuning", "SUPERTUNING", q],
        ["TinyLora", "TINYLORA", q],
        ["TrainableTokens", "TRAINABLE_TOKENS", { token_indices: [3], target_modules: ["embed_tokens"] }],
        ["UniLora", "UNILORA", q],
        ["VBLoRA", "VBLORA", { ...q, r: 2, num_vectors: 8, vector_length: 4 }],
        ["Vera", "VERA", { ...q, r: 4 }],
        ["WaveFT", "WAVEFT", { ...q, n_frequency: 50 }],
      ] as const
    ).map(([kind, type, config]) => [
      kind,
      [`peft_type must be "LORA", not "${type}"`, { base: "llama", kind, config }],
    ]),
  ),
};

/** Those with the head of GPT-NeoX, whose name in transformers is another than in files of models. */
const HEADS = Object.keys(EQUAL).filter((name) => name.endsWith(", neox") && /head|tied|tokens/.test(name));

/** Those that are merged and written again: one of each form. */
const WRITTEN = [
  "patterns of ranks and alphas",
  "bfloat16, DoRA",
  "DoRA, gpt2",
  "DoRA of a scaled table",
  "a bias of B",
  "biases of adapted layers, gpt2",
  "in full: norms by the end of their names' text",
  "in full, gpt2",
  "tied, in full: the table",
  "tied, in full: both as one",
  "tied: both, apart",
  "tied: both as one, with patterns",
  "tokens of both",
  "tied: tokens of the table",
  "parameters and modules",
  "parameters as gpt2 holds them",
  ...HEADS,
];

const ROWS = Array.from({ length: 6 }, (_, row) =>
  Array.from({ length: 12 + 3 * row }, (_, i) => 3 + ((i * i * 3 + 7 * row + i * 5) % 90)),
);
const refused = Object.fromEntries(Object.entries(REFUSED).map(([name, [, example]]) => [name, example]));
const CASES: Readonly<Record<string, Case>> = { ...EQUAL, ...refused };
const folderNames = new Map(Object.keys(CASES).map((name, i) => [name, String(i)] as const));

describePeers("adapters of PEFT", () => {
  let root = "";
  let losses: Readonly<Record<string, number>> = {};
  const adapterOf = (name: string): string => path.join(root, "adapters", folderNames.get(name)!);
  const baseOf = (name: string): string => path.join(root, "bases", CASES[name]!.base);
  const lossOf = async (target: string, base: string | null, adapter = true): Promise<number> => {
    const limits = { batchSize: 6, sequenceLength: null, maxTokens: null } as const;
    const machine = { device: "cpu", threads: 1 } as const;
    return (
      await evaluateTarget(target, { base, data: path.join(root, "data/train.jsonl"), adapter, ...limits, ...machine })
    ).loss;
  };

  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), "highrank-peft-peers-"));
    await mkdir(path.join(root, "data"));
    const lines = (rows: readonly (readonly number[])[]): string =>
      rows.map((input_ids) => JSON.stringify({ input_ids })).join("\n");
    await writeFile(path.join(root, "data/train.jsonl"), lines(ROWS));
    await writeFile(path.join(root, "data/validation.jsonl"), lines(ROWS.slice(0, 2)));
    await ask("peft_adapters", "write_bases", { folder: path.join(root, "bases"), names: BASES });
    const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 64 });
    for (const base of BASES) {
      await writeFile(path.join(root, "bases", base, "tokenizer.json"), JSON.stringify(tokenizer.toJson()));
    }
    const named = Object.fromEntries(Object.entries(CASES).map(([name, each]) => [folderNames.get(name)!, each]));
    const folders = { bases: path.join(root, "bases"), out: path.join(root, "adapters") };
    const found = await ask<Record<string, number>>("peft_adapters", "write_adapters", {
      ...folders,
      cases: named,
      rows: ROWS,
    });
    losses = Object.fromEntries([...folderNames].map(([name, folder]) => [name, found[folder]!]));
  }, 600_000);
  afterAll(async () => rm(root, { recursive: true }));

  test.each(Object.keys(EQUAL))("the same loss: %s", async (name) => {
    const [theirs, ours] = [losses[name]!, await lossOf(adapterOf(name), baseOf(name))];
    record(`${name} (${CASES[name]!.base})`, { theirs, ours });
    expect(Math.abs(ours - theirs)).toBeLessThan(2e-5);
  });

  test.each<[kind: string, base: string, options: Readonly<Record<string, unknown>>]>([
    ["pissa", "llama", all],
    ["pissa_niter_4", "gpt2", { ...gpt2, use_rslora: true }],
    ["olora", "gemma3", { ...all, rank_pattern: { q_proj: 2 }, alpha_pattern: { up_proj: 3 } }],
    ["lora_ga", "qwen2", { target_modules: ["q_proj", "down_proj"] }],
  ])("the same loss once PEFT has converted it: %s", async (kind, name, options) => {
    const [base, adapter] = [path.join(root, "bases", name), path.join(root, `converted-${kind}`)];
    const config = { r: 4, lora_alpha: 8, init_lora_weights: kind, ...options };
    const loss = await ask<number>("peft_adapters", "write_converted", { base, out: adapter, config, rows: ROWS });
    expect(Math.abs(loss - (await lossOf(base, null)))).toBeGreaterThan(1e-3);
    expect(Math.abs((await lossOf(adapter, base)) - loss)).toBeLessThan(2e-5);
  });

  test("every one of them changes the loss", async () => {
    const plain = await Promise.all(
      BASES.map(async (base) => [base, await lossOf(path.join(root, "bases", base), null)] as const),
    );
    for (const [name, { base }] of Object.entries(EQUAL)) {
      expect(Math.abs(losses[name]! - new Map(plain).get(base)!), name).toBeGreaterThan(1e-4);
    }
  });

  test.each(Object.keys(REFUSED))("refused by name: %s", async (name) => {
    const said = await refusal(lossOf(adapterOf(name), baseOf(name)));
    record(`${name} (${CASES[name]!.base})`, { refused: said });
    expect(said).toContain(REFUSED[name]![0]);
  });

  test("merged folders have the same losses in transformers, adapters written again in PEFT", async () => {
    const merged: Record<string, string> = {};
    const again: Record<string, object> = {};
    for (const name of WRITTEN) {
      const { config } = EQUAL[name]!;
      const [base, adapter] = [baseOf(name), path.join(root, "again", folderNames.get(name)!)];
      await exportPeft(await openTarget(adapterOf(name), { base }), adapter);
      again[name] = { base, adapter };
      expect(await bytesOf(adapter), name).toEqual(await bytesOf(adapterOf(name)));
      // A layer without a bias cannot take up that of B.
      if (config.lora_bias === true) continue;
      merged[name] = path.join(root, "merged", folderNames.get(name)!);
      await mergeTarget(adapterOf(name), { base, out: merged[name], dtype: "float32", verify: false });
    }
    const inModels = await ask<Record<string, number>>("peft_adapters", "model_losses", {
      folders: merged,
      rows: ROWS,
    });
    const read = await ask<Record<string, object>>("peft_adapters", "read_adapters", { adapters: again, rows: ROWS });
    const near = (name: string): number => expect.closeTo(losses[name]!, 4.7) as number;
    expect(inModels).toEqual(Object.fromEntries(Object.keys(merged).map((name) => [name, near(name)])));
    const whole = (name: string): object => ({ loss: near(name), missing: [], unexpected: [], warnings: [] });
    expect(read).toEqual(Object.fromEntries(Object.keys(again).map((name) => [name, whole(name)])));
  });

  test("the head of GPT-NeoX by its older name has the same loss, and is written by today's", async () => {
    const again: Record<string, object> = {};
    for (const name of HEADS) {
      const base = baseOf(name);
      const [older, adapter] = [
        path.join(root, "older", folderNames.get(name)!),
        path.join(root, "today", folderNames.get(name)!),
      ];
      await writeOlder(adapterOf(name), older);
      expect(await lossOf(older, base), name).toBeCloseTo(losses[name]!, 4.7);
      const { modulesToSave } = await exportPeft(await openTarget(older, { base }), adapter);
      expect(modulesToSave.includes("lm_head.weight"), name).toBe(name.includes("in full"));
      expect(await bytesOf(adapter), name).toEqual(await bytesOf(adapterOf(name)));
      again[name] = { base, adapter };
    }
    const read = await ask<Record<string, object>>("peft_adapters", "read_adapters", { adapters: again, rows: ROWS });
    const whole = (name: string): object => {
      return { loss: expect.closeTo(losses[name]!, 4.7) as number, missing: [], unexpected: [], warnings: [] };
    };
    expect(read).toEqual(Object.fromEntries(HEADS.map((name) => [name, whole(name)])));
  });

  /** A run of `steps` steps, each on all rows, as PEFT trains. */
  const goOn = async (name: string, steps: number, change: Partial<Settings> = {}): Promise<number[]> => {
    const out = path.join(root, "on", folderNames.get(name)!);
    const rate = { lr: 5e-3, schedule: "constant", warmupSteps: 0, clipGradNorm: null } as const;
    const sizes = { maxSteps: steps, batchSize: ROWS.length, sequenceLength: 32, sampleTokens: 0, threads: 1 };
    const from = { model: baseOf(name), data: path.join(root, "data"), method: "lora", adapterFrom: adapterOf(name) };
    const taken: number[] = [];
    await train(resolveSettings({ flags: { ...from, ...sizes, ...rate, out, ...change } }), {
      onRecord: (record) => void (record.kind === "step" && taken.push(record.loss)),
    });
    return taken;
  };

  test.each([
    "patterns of ranks and alphas",
    "DoRA, gpt2",
    "all biases, gpt2",
    "in full: table and head",
    "tied, in full: both as one",
    "parameters as gpt2 holds them",
  ])("training goes on as in PEFT, and gives an adapter that PEFT reads: %s", async (name) => {
    const base = baseOf(name);
    const [steps, lr] = [4, 5e-3];
    const given = { base, adapter: adapterOf(name), rows: ROWS, steps, lr };
    const theirs = await ask<{ losses: number[]; loss: number }>("peft_adapters", "train_on", given);
    const ours = await goOn(name, steps);
    expect(Math.abs(ours[0]! - losses[name]!)).toBeLessThan(2e-5);
    expect(ours).toEqual(theirs.losses.map((loss) => expect.closeTo(loss, 4)));
    const adapter = path.join(root, "on", folderNames.get(name)!, "adapter");
    const read = await ask<object>("peft_adapters", "read_adapter", { base, adapter, rows: ROWS });
    expect(read).toEqual({ loss: expect.closeTo(theirs.loss, 4), missing: [], unexpected: [], warnings: [] });
    expect(await lossOf(adapter, base)).toBeCloseTo(theirs.loss, 4);
  });

  test("cycles of relora are one adapter of high rank for PEFT", async () => {
    const name = "all linear layers, rsLoRA";
    await goOn(name, 6, { method: "relora", reloraEvery: 2, restartWarmupSteps: 0, lr: 2e-2 });
    const run = path.join(root, "on", folderNames.get(name)!);
    const given = { base: baseOf(name), adapter: path.join(run, "adapter"), rows: ROWS };
    const read = await ask<object>("peft_adapters", "read_adapter", given);
    expect(read).toEqual({
      loss: expect.closeTo(await lossOf(run, null), 4.7),
      missing: [],
      unexpected: [],
      warnings: [],
    });
    expect(Math.abs((await lossOf(run, null)) - losses[name]!)).toBeGreaterThan(1e-3);
  });

  test.each([
    ["nf4", 4],
    ["nf4 with double quantization", "4d"],
    ["int8", 8],
  ] as const)("a base in %s, both ways", async (format, bits) => {
    const base = path.join(root, "bases/wide");
    const packed = path.join(root, `packed-${bits}`);
    const adapter = path.join(root, `on-${bits}`);
    await ask("peft_adapters", "write_quantized", { base, out: packed, bits });
    for (const file of ["tokenizer.json"]) await cp(path.join(base, file), path.join(packed, file));
    const config = { r: 4, lora_alpha: 8, target_modules: "all-linear", use_dora: bits !== 8 };
    const given = { base, out: adapter, bits, config, rows: ROWS };
    const theirs = await ask<Record<string, number>>("peft_adapters", "write_on_quantized", given);
    // Its int8 kernels round the inputs of layers as well.
    const tolerance = bits === 8 ? 2e-2 : 2e-5;
    const ours = { quantized: await lossOf(adapter, packed), float: await lossOf(adapter, base) };
    record(`on a base in ${format}`, { theirs: theirs.quantized!, ours: ours.quantized });
    record(`on a base in ${format}, beside the float one`, { theirs: theirs.float!, ours: ours.float });
    expect(Math.abs(ours.quantized - theirs.quantized!)).toBeLessThan(tolerance);
    expect(Math.abs(ours.float - theirs.float!)).toBeLessThan(2e-5);

    const run = path.join(root, `run-${bits}`);
    const sizes = { maxSteps: 3, batchSize: ROWS.length, sequenceLength: 32, sampleTokens: 0, threads: 1, lr: 1e-2 };
    const from = { model: packed, data: path.join(root, "data"), method: "lora", adapterFrom: adapter, out: run };
    await train(resolveSettings({ flags: { ...from, ...sizes } }));
    const own = path.join(run, "adapter");
    const onPacked = await ask<{ loss: number }>("peft_adapters", "read_adapter", {
      base,
      adapter: own,
      rows: ROWS,
      bits,
    });
    const onFloat = await ask<{ loss: number }>("peft_adapters", "read_adapter", { base, adapter: own, rows: ROWS });
    expect(onFloat).toEqual({
      loss: expect.closeTo(await lossOf(own, base), 4.7),
      missing: [],
      unexpected: [],
      warnings: [],
    });
    expect(onPacked).toMatchObject({ missing: [], unexpected: [], warnings: [] });
    expect(Math.abs(onPacked.loss - (await lossOf(own, packed))), format).toBeLessThan(tolerance);
  });
});

/** Writes an adapter of GPT-NeoX as PEFT did with transformers before version 5. */
async function writeOlder(folder: string, out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  const config = await readFile(path.join(folder, "adapter_config.json"), "utf8");
  await writeFile(path.join(out, "adapter_config.json"), config.replace(/(lm)?_head/g, "embed_out"));
  const { tensors, metadata } = await openSafetensors(path.join(folder, "adapter_model.safetensors"));
  const older = new Map([...tensors].map(([key, tensor]) => [key.replace(".lm_head.", ".embed_out."), tensor]));
  await writeSafetensors(path.join(out, "adapter_model.safetensors"), older, metadata);
}

/** Each tensor of an adapter as it lies in the file, by its key. */
async function bytesOf(folder: string): Promise<object> {
  const { tensors } = await openSafetensors(path.join(folder, "adapter_model.safetensors"));
  const entries = [...tensors].map(
    async ([key, stored]) => [key, [stored.fileType, stored.shape, await stored.readBytes()]] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}
