import { ModelError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import type { GgufMetadata } from "./metadata.js";
import type { SwappedAxes } from "./rearranged-tensor.js";

/** Layout of an architecture's models in llama.cpp's files. */
export interface GgufArchitecture {
  /** Its name in files. */
  readonly name: string;
  /** `model_type` of its config.json. */
  readonly modelType: string;
  /** Class of transformers. */
  readonly className: string;
  /** Names in Hugging Face folders by those in files, without `.weight` and `.bias`; `*` is the number of a layer. */
  readonly tensors: Readonly<Record<string, string>>;
  /** The keys of its config.json beside those that all have, by the number of a key. */
  config(key: ConfigKeys): Readonly<Record<string, unknown>>;
  /**
   * The axes of the rows of a tensor that stand the other way round in Hugging Face folders.
   * @param name in files, without the number of the layer: `blk.*.attn_q`.
   */
  swapped?(name: string, heads: Heads): SwappedAxes | undefined;
  /** True for one whose norms are distances from 1 in Hugging Face folders, and factors here. */
  readonly shiftsNorms?: boolean;
  /** True for one whose files hold the output projection even where it is the embedding table. */
  readonly needsOutput?: boolean;
}

/** Sizes of a model's attention. */
export interface Heads {
  readonly numHeads: number;
  readonly headDim: number;
}

/** Reads the keys of a file's architecture, such as `block_count`. */
export interface ConfigKeys {
  number(key: string): number | undefined;
  required(key: string): number;
  boolean(key: string): boolean | undefined;
  /** A number, or a list of as many values as there are layers. */
  pattern(key: string, numLayers: number): number | readonly boolean[] | undefined;
  /** True if the file holds the tensor. */
  has(tensor: string): boolean;
}

/** Keys of models with rotary positions and RMS norms. */
function decoderConfig(key: ConfigKeys): Record<string, unknown> {
  const [hiddenSize, numHeads] = [key.required("embedding_length"), key.required("attention.head_count")];
  return {
    hidden_size: hiddenSize,
    intermediate_size: key.required("feed_forward_length"),
    num_hidden_layers: key.required("block_count"),
    num_attention_heads: numHeads,
    num_key_value_heads: key.number("attention.head_count_kv") ?? numHeads,
    head_dim: key.number("attention.key_length") ?? hiddenSize / numHeads,
    max_position_embeddings: key.required("context_length"),
    rms_norm_eps: key.required("attention.layer_norm_rms_epsilon"),
    rope_theta: key.number("rope.freq_base") ?? 10_000,
  };
}

const DECODER_TENSORS = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
  "blk.*.attn_norm": "model.layers.*.input_layernorm",
  "blk.*.attn_q": "model.layers.*.self_attn.q_proj",
  "blk.*.attn_k": "model.layers.*.self_attn.k_proj",
  "blk.*.attn_v": "model.layers.*.self_attn.v_proj",
  "blk.*.attn_output": "model.layers.*.self_attn.o_proj",
  "blk.*.ffn_norm": "model.layers.*.post_attention_layernorm",
  "blk.*.ffn_gate": "model.layers.*.mlp.gate_proj",
  "blk.*.ffn_up": "model.layers.*.mlp.up_proj",
  "blk.*.ffn_down": "model.layers.*.mlp.down_proj",
};

const HEAD_NORMS = {
  "blk.*.attn_q_norm": "model.layers.*.self_attn.q_norm",
  "blk.*.attn_k_norm": "model.layers.*.self_attn.k_norm",
};

const LLAMA: GgufArchitecture = {
  name: "llama",
  modelType: "llama",
  className: "LlamaForCausalLM",
  tensors: DECODER_TENSORS,
  config: (key) => ({
    ...decoderConfig(key),
    attention_bias: key.has("blk.0.attn_q.bias"),
    mlp_bias: key.has("blk.0.ffn_up.bias"),
  }),
  // Features that turn together lie side by side here, and half a head apart there.
  swapped: (name, { headDim }) =>
    name === "blk.*.attn_q" || name === "blk.*.attn_k" ? { first: headDim / 2, second: 2, inner: 1 } : undefined,
};

const QWEN2: GgufArchitecture = {
  name: "qwen2",
  modelType: "qwen2",
  className: "Qwen2ForCausalLM",
  tensors: DECODER_TENSORS,
  config: decoderConfig,
};

const QWEN3: GgufArchitecture = {
  name: "qwen3",
  modelType: "qwen3",
  className: "Qwen3ForCausalLM",
  tensors: { ...DECODER_TENSORS, ...HEAD_NORMS },
  config: (key) => ({ ...decoderConfig(key), attention_bias: key.has("blk.0.attn_q.bias") }),
};

const PHI3: GgufArchitecture = {
  name: "phi3",
  modelType: "phi3",
  className: "Phi3ForCausalLM",
  tensors: {
    ...DECODER_TENSORS,
    "blk.*.attn_qkv": "model.layers.*.self_attn.qkv_proj",
    "blk.*.ffn_up": "model.layers.*.mlp.gate_up_proj",
  },
  config(key) {
    const config = decoderConfig(key);
    const headDim = config.head_dim as number;
    const maxLength = config.max_position_embeddings;
    return {
      ...config,
      partial_rotary_factor: (key.number("rope.dimension_count") ?? headDim) / headDim,
      original_max_position_embeddings: key.number("rope.scaling.original_context_length") ?? maxLength,
      // 0 stands for none.
      sliding_window: key.number("attention.sliding_window") || null,
    };
  },
};

/** Layers of the 27B model: the only one whose scores are scaled otherwise, as llama.cpp has it. */
const GEMMA3_27B_LAYERS = 62;

/** The last of so many layers looks back on all tokens, where the file does not say otherwise. */
export const GEMMA3_PATTERN = 6;

/** Names of layers in `layer_types`, by the value that is true for those with a window. */
const layerType = (isLocal: boolean): string => (isLocal ? "sliding_attention" : "full_attention");

const GEMMA3: GgufArchitecture = {
  name: "gemma3",
  modelType: "gemma3_text",
  className: "Gemma3ForCausalLM",
  tensors: {
    ...DECODER_TENSORS,
    ...HEAD_NORMS,
    "blk.*.post_attention_norm": "model.layers.*.post_attention_layernorm",
    "blk.*.ffn_norm": "model.layers.*.pre_feedforward_layernorm",
    "blk.*.post_ffw_norm": "model.layers.*.post_feedforward_layernorm",
  },
  config(key) {
    const config = decoderConfig(key);
    const numLayers = config.num_hidden_layers as number;
    const isLargest = numLayers === GEMMA3_27B_LAYERS;
    const pattern = key.pattern("attention.sliding_window_pattern", numLayers) ?? GEMMA3_PATTERN;
    // As llama.cpp, which takes 0 for a window everywhere.
    const isLocal = (layer: number): boolean =>
      typeof pattern === "number" ? pattern === 0 || layer % pattern < pattern - 1 : pattern[layer]!;
    return {
      ...config,
      rope_theta: key.number("rope.freq_base") ?? 1_000_000,
      rope_local_base_freq: key.number("rope.freq_base_swa") ?? 10_000,
      query_pre_attn_scalar: isLargest
        ? (config.hidden_size as number) / (config.num_attention_heads as number)
        : config.head_dim,
      sliding_window: key.required("attention.sliding_window"),
      layer_types: Array.from({ length: numLayers }, (_, layer) => layerType(isLocal(layer))),
      hidden_activation: "gelu_pytorch_tanh",
      final_logit_softcapping: key.number("final_logit_softcapping") ?? null,
    };
  },
  shiftsNorms: true,
};

const GPT2: GgufArchitecture = {
  name: "gpt2",
  modelType: "gpt2",
  className: "GPT2LMHeadModel",
  tensors: {
    token_embd: "transformer.wte",
    position_embd: "transformer.wpe",
    output_norm: "transformer.ln_f",
    output: "lm_head",
    "blk.*.attn_norm": "transformer.h.*.ln_1",
    "blk.*.attn_qkv": "transformer.h.*.attn.c_attn",
    "blk.*.attn_output": "transformer.h.*.attn.c_proj",
    "blk.*.ffn_norm": "transformer.h.*.ln_2",
    "blk.*.ffn_up": "transformer.h.*.mlp.c_fc",
    "blk.*.ffn_down": "transformer.h.*.mlp.c_proj",
  },
  config: (key) => ({
    n_embd: key.required("embedding_length"),
    n_inner: key.required("feed_forward_length"),
    n_layer: key.required("block_count"),
    n_head: key.required("attention.head_count"),
    n_positions: key.required("context_length"),
    layer_norm_epsilon: key.required("attention.layer_norm_epsilon"),
    activation_function: "gelu_new",
  }),
};

const GPT_NEOX: GgufArchitecture = {
  name: "gptneox",
  modelType: "gpt_neox",
  className: "GPTNeoXForCausalLM",
  tensors: {
    token_embd: "gpt_neox.embed_in",
    output_norm: "gpt_neox.final_layer_norm",
    output: "embed_out",
    "blk.*.attn_norm": "gpt_neox.layers.*.input_layernorm",
    "blk.*.attn_qkv": "gpt_neox.layers.*.attention.query_key_value",
    "blk.*.attn_output": "gpt_neox.layers.*.attention.dense",
    "blk.*.ffn_norm": "gpt_neox.layers.*.post_attention_layernorm",
    "blk.*.ffn_up": "gpt_neox.layers.*.mlp.dense_h_to_4h",
    "blk.*.ffn_down": "gpt_neox.layers.*.mlp.dense_4h_to_h",
  },
  config(key) {
    const [hiddenSize, numHeads] = [key.required("embedding_length"), key.required("attention.head_count")];
    const headDim = hiddenSize / numHeads;
    return {
      hidden_size: hiddenSize,
      intermediate_size: key.required("feed_forward_length"),
      num_hidden_layers: key.required("block_count"),
      num_attention_heads: numHeads,
      max_position_embeddings: key.required("context_length"),
      layer_norm_eps: key.required("attention.layer_norm_epsilon"),
      rotary_emb_base: key.number("rope.freq_base") ?? 10_000,
      rotary_pct: (key.number("rope.dimension_count") ?? headDim) / headDim,
      use_parallel_residual: key.boolean("use_parallel_residual") ?? true,
      // That of the models. llama.cpp computes an approximation of it.
      hidden_act: "gelu",
    };
  },
  // All queries, all keys, all values here; those of each head one after another there.
  swapped: (name, { numHeads, headDim }) =>
    name === "blk.*.attn_qkv" ? { first: 3, second: numHeads, inner: headDim } : undefined,
  needsOutput: true,
};

export const GGUF_ARCHITECTURES: readonly GgufArchitecture[] = [LLAMA, QWEN2, QWEN3, PHI3, GEMMA3, GPT2, GPT_NEOX];

/** The architecture that the file names. @throws ModelError for one that is not supported, or an adapter. */
export function architectureOf(metadata: GgufMetadata): GgufArchitecture {
  const type = metadata.text("general.type") ?? "model";
  if (type !== "model")
    throw new ModelError(`${metadata.where}: general.type is ${shownValue(type)}; only models can be read`);
  const name = metadata.text("general.architecture");
  const found = GGUF_ARCHITECTURES.find((each) => each.name === name);
  if (found === undefined) {
    throw new ModelError(
      `${metadata.where}: general.architecture is ${shownValue(name)}, which is not supported; supported are ` +
        GGUF_ARCHITECTURES.map((each) => each.name).join(", "),
    );
  }
  const experts = metadata.number(`${name}.expert_count`) ?? 0;
  if (experts > 0) throw new ModelError(`${metadata.where}: mixes ${experts} experts, which is not computed here`);
  return found;
}
