import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeModelFolder } from "../src/formats/model-folder.js";
import { toStorage } from "../src/formats/model-tensors.js";
import { readPeftAdapter, writePeftAdapter } from "../src/formats/peft.js";
import { openSafetensors, readSafetensors } from "../src/formats/safetensors.js";
import { diskParameters, hostTensors } from "../src/loading/model-source.js";
import { describeModel } from "../src/models/architectures.js";
import { Program } from "../src/runtime/program.js";
import { Rng } from "../src/tensor/random.js";
import { tensor } from "../src/tensor/tensor.js";
import { mergeTarget } from "../src/verbs/merge.js";
import { loadTarget } from "../src/verbs/target.js";
import { expectClose } from "./ops/close.js";
import { ask, peersAvailable } from "./peers/peer.js";

const LLAMA = {
  ...{ model_type: "llama", vocab_size: 23, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 3 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, rms_norm_eps: 1e-6, max_position_embeddings: 32 },
};
const GPT2 = {
  ...{ model_type: "gpt2", vocab_size: 23, n_embd: 16, n_head: 4, n_layer: 3, n_positions: 32 },
  ...{ layer_norm_epsilon: 1e-5, activation_function: "gelu_new" },
};
const ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly dtype?: "BF16";
}

const MODELS: readonly (readonly [what: string, base: object, cases: Readonly<Record<string, Case>>])[] = [
  [
    "llama",
    { ...LLAMA, tie_word_embeddings: false },
    {
      "a list": { config: { r: 3, lora_alpha: 6, target_modules: ["q_proj", "mlp.up_proj"] } },
      "ranks, alphas and rsLoRA": {
        config: {
          ...{ r: 4, lora_alpha: 5, use_rslora: true, target_modules: ALL },
          rank_pattern: { q_proj: 2, "layers\\.1\\..*": 3, "^model.layers.2.mlp.up_proj": 5 },
          alpha_pattern: { "model.layers.0.self_attn.(k|v)_proj": 11, "1.mlp.down_proj": 2 },
        },
      },
      "a regular expression and an exclusion": {
        config: {
          ...{ r: 2, lora_alpha: 4, target_modules: "(?:.*\\.)?layers\\.[02]\\..*_proj" },
          exclude_modules: ".*\\.(?:gate|o)_proj",
        },
      },
      "some layers": {
        config: {
          ...{ r: 2, lora_alpha: 4, target_modules: ["v_proj", "model.layers.0.mlp.up_proj", "down_proj"] },
          ...{ layers_to_transform: [1, 2], layers_pattern: "layers", exclude_modules: ["2.mlp.down_proj"] },
        },
      },
      "one layer, by any name": {
        config: { r: 2, lora_alpha: 4, target_modules: ["v_proj", "down_proj"], layers_to_transform: 1 },
      },
      "DoRA on all linear layers": {
        config: { r: 3, lora_alpha: 6, use_dora: true, target_modules: "all-linear", rank_pattern: { up_proj: 1 } },
      },
      "modules in full": {
        config: {
          r: 2,
          lora_alpha: 4,
          target_modules: ["q_proj"],
          modules_to_save: ["embed_tokens", "lm_head", "norm"],
        },
      },
      "a module in full that is targeted too": {
        config: { r: 2, lora_alpha: 4, target_modules: ALL, modules_to_save: ["gate_proj", "layers.0.self_attn"] },
      },
      "embeddings and head": {
        config: { r: 2, lora_alpha: 4, target_modules: ["v_proj", "embed_tokens", "lm_head"] },
      },
      "trained tokens": {
        config: { r: 2, lora_alpha: 4, target_modules: ["v_proj"], trainable_token_indices: [7, 1, 22] },
      },
      bfloat16: { config: { r: 3, lora_alpha: 6, use_dora: true, target_modules: ALL }, dtype: "BF16" },
    },
  ],
  [
    "llama",
    { ...LLAMA, tie_word_embeddings: true },
    {
      "tied: linear layers": { config: { r: 3, lora_alpha: 6, target_modules: "all-linear" } },
      "tied: embeddings and head in full": {
        config: { r: 2, lora_alpha: 4, target_modules: ["q_proj"], modules_to_save: ["embed_tokens", "lm_head"] },
      },
      "tied: trained tokens": {
        config: { r: 2, lora_alpha: 4, target_modules: ["v_proj"], trainable_token_indices: { embed_tokens: [3, 9] } },
      },
    },
  ],
  [
    "gpt2",
    GPT2,
    {
      "transposed, with the biases of adapted layers": {
        config: {
          r: 3,
          lora_alpha: 6,
          fan_in_fan_out: true,
          bias: "lora_only",
          target_modules: ["c_attn", "mlp.c_proj"],
        },
      },
      "transposed, DoRA": {
        config: {
          r: 3,
          lora_alpha: 6,
          fan_in_fan_out: true,
          use_dora: true,
          target_modules: ["c_attn", "c_proj", "c_fc"],
        },
      },
      "all biases, and one of B": {
        config: { r: 2, lora_alpha: 6, bias: "all", lora_bias: true, target_modules: "all-linear" },
      },
      "a transposed module in full": {
        config: { r: 2, lora_alpha: 4, target_modules: ["c_attn"], modules_to_save: ["c_fc", "ln_f"] },
      },
      "positions, with layers": {
        config: {
          r: 2,
          lora_alpha: 4,
          target_modules: ["transformer.wpe", "c_fc"],
          layers_to_transform: [2],
          layers_pattern: ["h"],
        },
      },
    },
  ],
];

const [BATCH, TIME] = [2, 9];
const ids = Int32Array.from({ length: BATCH * TIME }, (_, i) => (i * 7 + 3) % 23);

describe.runIf(peersAvailable()).each(MODELS)(
  "PEFT adapters of %s as PyTorch computes them",
  (architecture, config, cases) => {
    let root = "";
    beforeAll(async () => {
      root = await mkdtemp(path.join(tmpdir(), "highrank-peft-torch-"));
      const model = describeModel({ ...config }).create(new Rng(2));
      const rng = new Rng(3);
      for (const [name, parameter] of diskParameters(model)) {
        const draw = rng.fork(name);
        const [spread, centre] = parameter.rank === 2 ? [0.3, 0] : [0.2, parameter.values[0]!];
        parameter.assign(parameter.values.map(() => centre + spread * draw.normal()));
      }
      const tensors = toStorage(hostTensors(diskParameters(model)), model.storage);
      await writeModelFolder(path.join(root, "base"), { config: { ...config }, tensors });
      const rows = [0, 1].map((row) => [...ids.subarray(row * TIME, (row + 1) * TIME)]);
      const given = {
        input_ids: rows,
        cases: Object.values(cases).map(({ config, dtype = "F32" }) => ({ config, dtype })),
      };
      await writeFile(path.join(root, "cases.json"), JSON.stringify(given));
      const [base, written, out] = ["base", "cases.json", "out"].map((name) => path.join(root, name));
      await ask("peft_reference", "write", { architecture, base, cases: written, out });
    });
    afterAll(async () => rm(root, { recursive: true }));

    const logitsOf = async (target: string, base: string | null, adapter = true): Promise<ArrayLike<number>> => {
      const { model } = await loadTarget(target, { base, adapter });
      const program = await Program.compile(
        { logits: model.logits(tensor(ids, [BATCH, TIME])) },
        { device: "cpu", threads: 1 },
      );
      const { logits } = await program.run();
      await program.release();
      return logits!.data;
    };

    test.each(Object.keys(cases))("%s", async (name) => {
      const folder = path.join(root, "out", String(Object.keys(cases).indexOf(name)));
      const base = path.join(root, "base");
      const { logits } = Object.fromEntries((await readSafetensors(path.join(folder, "logits.safetensors"))).tensors);
      const expected = logits!.data;
      expectClose("with the adapter", await logitsOf(folder, base), expected, 5e-6);
      const plain = Array.from(await logitsOf(folder, base, false));
      expect(Math.max(...plain.map((value, i) => Math.abs(value - expected[i]!)))).toBeGreaterThan(0.01);

      const merged = path.join(root, `merged-${name.replaceAll(/\W/g, "-")}`);
      const options = { out: merged, base, dtype: "float32", verify: true } as const;
      const { verification } = await mergeTarget(folder, options);
      expect(verification!.relativeChange).toBeLessThan(1e-5);
      expectClose("merged", await logitsOf(merged, null), expected, 5e-6);

      const again = path.join(root, `again-${name.replaceAll(/\W/g, "-")}`);
      await writePeftAdapter(again, await readPeftAdapter(folder));
      expect(await bytesOf(again)).toEqual(await bytesOf(folder));
      expect(await logitsOf(again, base)).toEqual(await logitsOf(folder, base));
    });

    const [first] = Object.keys(cases);
    test("a module without its tensors, and tensors of a module that is not there, are named with the nearest", async () => {
      const folder = path.join(root, "misnamed");
      await cp(path.join(root, "out/0"), folder, { recursive: true });
      const file = path.join(folder, "adapter_model.safetensors");
      const content = await readFile(file, "latin1");
      await writeFile(file, content.replaceAll(/(layers|h)\.0\.(?=\w+\.\w+\.lora)/g, "$1.7."), "latin1");
      const loading = loadTarget(folder, { base: path.join(root, "base"), adapter: true });
      await expect(loading, first).rejects.toThrow(
        /the model has no linear layer \S+\.7\.\S+ \(did you mean "\S+"\?\)/,
      );
      await expect(loading).rejects.toThrow(
        /names \S+\.0\.\S+, but the adapter has no tensors of it; there are tensors of \S+\.7\./,
      );
    });
  },
);

/** Each tensor of an adapter as it lies in the file, by its key. */
async function bytesOf(folder: string): Promise<Record<string, [string, readonly number[], Uint8Array]>> {
  const { tensors } = await openSafetensors(path.join(folder, "adapter_model.safetensors"));
  const entries = [...tensors].map(
    async ([key, stored]) => [key, [stored.fileType, stored.shape, await stored.readBytes()]] as const,
  );
  return Object.fromEntries(await Promise.all(entries)) as Record<string, [string, readonly number[], Uint8Array]>;
}
