import { linearLayers } from "../src/adapters/inject.js";
import { writeModelFolder } from "../src/formats/model-folder.js";
import { toStorage } from "../src/formats/model-tensors.js";
import { loraScalings, type PeftAdapter, writePeftAdapter } from "../src/formats/peft.js";
import { folderSource } from "../src/loading/folder-source.js";
import { diskParameters } from "../src/loading/model-source.js";
import { describeModel } from "../src/models/architectures.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { Rng } from "../src/tensor/random.js";
import { sizeOf } from "../src/tensor/shape.js";
import type { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";

const SMALL = {
  ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
  ...{ max_position_embeddings: 64, rms_norm_eps: 1e-5, initializer_range: 0.2 },
};
/** Positions that are stretched as Llama 3.1's are. */
export const LLAMA3 = {
  ...{ rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 8192,
};
const LONG = { rope_type: "longrope", short_factor: [1, 1.5, 2, 3], long_factor: [2, 3, 4, 8] };
const YARN = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
const NEOX = { model_type: "gpt_neox", ...SMALL, num_key_value_heads: undefined };

/** A config of each architecture that GGUF files hold, with all that the files say of it. */
export const GGUF_MODELS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: { model_type: "llama", ...SMALL, attention_bias: true, rope_theta: 5e5, rope_scaling: LLAMA3 },
  "tied llama": {
    model_type: "llama",
    ...SMALL,
    tie_word_embeddings: true,
    rope_scaling: { type: "linear", factor: 2 },
  },
  "llama of other numbers": {
    ...{ model_type: "llama", ...SMALL },
    rope_scaling: { ...LLAMA3, low_freq_factor: 2, original_max_position_embeddings: 48 },
  },
  yarn: { model_type: "llama", ...SMALL, rope_scaling: YARN },
  mistral: { model_type: "mistral", ...SMALL, sliding_window: null },
  qwen2: { model_type: "qwen2", ...SMALL, tie_word_embeddings: true },
  qwen3: { model_type: "qwen3", ...SMALL, head_dim: 16 },
  phi3: {
    ...{ model_type: "phi3", ...SMALL, max_position_embeddings: 2048, original_max_position_embeddings: 1024 },
    ...{ rope_scaling: LONG, sliding_window: 512 },
  },
  gemma3_text: {
    ...{ model_type: "gemma3_text", ...SMALL, head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 8 },
    ...{ num_hidden_layers: 6, final_logit_softcapping: 30 },
  },
  "gemma3_text of other layers": {
    ...{ model_type: "gemma3_text", ...SMALL, head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 4 },
    layer_types: ["full_attention", "sliding_attention"],
  },
  gpt2: { model_type: "gpt2", n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64 },
  gpt_neox: { ...NEOX, use_parallel_residual: false },
  "tied gpt_neox": { ...NEOX, tie_word_embeddings: true },
};

export const GGUF_TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

/** A tokenizer of 280 tokens and a template. */
export function ggufTokenizer(): Tokenizer {
  const texts = Array.from({ length: 40 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`);
  return trainTokenizer(texts, { vocabSize: 280 }).withChatTemplate(GGUF_TEMPLATE);
}

/** Writes a folder with one of the models, with random weights none of which is zero, and the tokenizer. */
export async function writeGgufModel(
  folder: string,
  name: string,
  change: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const tokenizer = ggufTokenizer();
  const config = { ...GGUF_MODELS[name], vocab_size: 288, bos_token_id: 0, eos_token_id: 0, ...change };
  const described = describeModel(config);
  const rng = new Rng(5);
  const tensors = new Map(
    [...diskParameters(described.create(rng))].map(([key, { shape, values }]) => {
      const data = values.map((value) => value + 0.05 * rng.normal());
      return [key, { dtype: "float32", shape, data } as const] as const;
    }),
  );
  const files = new Map([
    ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
    ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ["generation_config.json", JSON.stringify({ eos_token_id: [0, 5] })],
  ]);
  await writeModelFolder(folder, { config, tensors: toStorage(tensors, described.storage), files }, { replace: true });
}

/**
 * Writes an rsLoRA on every linear layer of a model folder, with ranks and alphas of their own for some.
 * @param change of its config.
 */
export async function writeGgufAdapter(
  folder: string,
  base: string,
  change: Partial<Omit<PeftAdapter, "layers">> = {},
): Promise<void> {
  const rng = new Rng(6);
  const normals = (...shape: number[]): HostTensor => {
    const data = Float32Array.from({ length: sizeOf(shape) }, () => 0.3 * rng.normal());
    return { dtype: "float32", shape, data };
  };
  const options: Omit<PeftAdapter, "layers" | "targetModules" | "base"> = {
    ...{ rank: 4, alpha: 6, useRslora: true, dropout: 0, useDora: false, fanInFanOut: false, baseModel: base },
    ...{ rankPattern: { "layers\\.1": 2, "h\\.1": 2 }, alphaPattern: { "down_proj|c_fc|dense": 3 } },
    bias: "none",
    modulesToSave: new Map(),
  };
  const linears = [...linearLayers((await folderSource(base)).build())];
  const names = linears.map(([name]) => name);
  const scalings = loraScalings(names, options);
  const layers = new Map(
    linears.map(([name, { linear }]) => {
      const { rank } = scalings.get(name)!;
      const pair = { loraA: normals(rank, linear.inFeatures), loraB: normals(linear.outFeatures, rank) };
      return [name, change.useDora === true ? { ...pair, magnitude: normals(linear.outFeatures) } : pair] as const;
    }),
  );
  await writePeftAdapter(folder, { ...options, targetModules: names, ...change, layers });
}
