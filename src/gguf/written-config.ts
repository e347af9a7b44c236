import { ModelError } from "../base/errors.js";
import { smallest } from "../base/numbers.js";
import { activationName } from "../models/activation.js";
import { describeModel } from "../models/architectures.js";
import type { DecoderConfig } from "../models/decoder-config.js";
import { ropeOf } from "../models/decoder-config.js";
import type { Gemma3Config } from "../models/gemma3.js";
import type { GPTNeoXConfig } from "../models/gpt-neox.js";
import type { GPT2Config } from "../models/gpt2.js";
import { type Rope, rotaryFrequencies } from "../nn/rope.js";
import type { HostTensor } from "../tensor/dtype.js";
import { GEMMA3_PATTERN, GGUF_ARCHITECTURES, type GgufArchitecture, type Heads } from "./architectures.js";
import type { GgufValue } from "./types.js";

/** Content of a GGUF file about a model beside its weights. */
export interface WrittenConfig {
  readonly architecture: GgufArchitecture;
  readonly heads: Heads;
  readonly numLayers: number;
  /** Rows of the embedding table. */
  readonly rows: number;
  /** Keys and values, `general.architecture` first. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Factors of rotary positions that are written as tensors. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** Names of llama.cpp's architectures by `model_type`, where they differ. Mistral's models are Llama's there. */
const ARCHITECTURE_OF: Readonly<Record<string, string>> = { mistral: "llama" };

/**
 * The keys of a GGUF file for a model of this config.json.
 * @throws ModelError naming all that llama.cpp does not compute.
 */
export function ggufConfigOf(json: Readonly<Record<string, unknown>>): WrittenConfig {
  const { config } = describeModel(json);
  const modelType = ARCHITECTURE_OF[json.model_type as string] ?? json.model_type;
  const architecture = GGUF_ARCHITECTURES.find((each) => each.modelType === modelType)!;
  const keys = new KeyWriter(architecture.name);
  keys.uint("block_count", config.numLayers);
  keys.uint("embedding_length", config.hiddenSize);
  keys.uint("vocab_size", config.vocabSize);
  WRITERS[architecture.name]!(config as never, keys);
  if (keys.faults.length > 0) {
    throw new ModelError(
      `a GGUF file cannot hold this model as it computes: ${keys.faults.join("; ")}; export it as hf or onnx`,
    );
  }
  return {
    architecture,
    heads: config as unknown as Heads,
    numLayers: config.numLayers,
    rows: config.vocabSize,
    metadata: keys.metadata,
    tensors: keys.tensors,
  };
}

/** Collects keys of an architecture, and what cannot be written. */
class KeyWriter {
  readonly metadata = new Map<string, GgufValue>();
  readonly tensors = new Map<string, HostTensor>();
  readonly faults: string[] = [];
  readonly #architecture: string;

  constructor(architecture: string) {
    this.#architecture = architecture;
    this.metadata.set("general.architecture", { type: "string", value: architecture });
    this.metadata.set("general.type", { type: "string", value: "model" });
  }

  uint(key: string, value: number): void {
    this.#set(key, { type: "uint32", value });
  }

  float(key: string, value: number): void {
    this.#set(key, { type: "float32", value });
  }

  text(key: string, value: string): void {
    this.#set(key, { type: "string", value });
  }

  boolean(key: string, value: boolean): void {
    this.#set(key, { type: "bool", value });
  }

  booleans(key: string, items: readonly boolean[]): void {
    this.#set(key, { type: "array", of: "bool", count: items.length, items });
  }

  factors(name: string, factors: readonly number[]): void {
    this.tensors.set(name, { dtype: "float32", shape: [factors.length], data: Float32Array.from(factors) });
  }

  /** Notes a fault unless llama.cpp reads factors of rotary positions. @param kind of the scaling that has them. */
  needsFactors(kind: string): void {
    this.needs(TAKES_FACTORS.has(this.#architecture), `rope_type must not be ${kind} with ${this.#architecture}`);
  }

  /** Notes a fault unless it holds. */
  needs(holds: boolean, otherwise: string): void {
    if (!holds) this.faults.push(otherwise);
  }

  #set(key: string, value: GgufValue): void {
    this.metadata.set(`${this.#architecture}.${key}`, value);
  }
}

/** Architectures whose tensors of factors llama.cpp reads. */
const TAKES_FACTORS: ReadonlySet<string> = new Set(["llama", "phi3"]);

const WRITERS: Readonly<Record<string, (config: never, keys: KeyWriter) => void>> = {
  llama: writeDecoder,
  qwen2: writeDecoder,
  qwen3: writeQwen3,
  phi3: writePhi3,
  gemma3: writeGemma3,
  gpt2: writeGpt2,
  gptneox: writeGptNeoX,
};

function writeDecoder(config: DecoderConfig, keys: KeyWriter): void {
  writeHeads(config, keys, lengthWithinWindows(config));
  writeRope(ropeOf(config), keys);
  needsActivation(config, keys, ["silu"]);
}

/** The longest text that no window cuts off, which is computed as it is where windows are not. */
function lengthWithinWindows({ window, numLayers, maxSequenceLength }: DecoderConfig): number {
  const windows = Array.from({ length: numLayers }, (_, layer) => window?.(layer) ?? Infinity);
  return smallest(windows, maxSequenceLength);
}

function writeQwen3(config: DecoderConfig, keys: KeyWriter): void {
  writeDecoder(config, keys);
  keys.needs(!config.attentionBias, "attention_bias must be false");
}

function writePhi3(config: DecoderConfig, keys: KeyWriter): void {
  // llama.cpp has windows of Phi 3 switched off.
  const length = lengthWithinWindows(config);
  writeHeads(config, keys, length);
  writeRope(ropeOf(config), keys);
  keys.uint("attention.sliding_window", 0);
  if (config.ropeScaling?.kind !== "longrope") keys.uint("rope.scaling.original_context_length", length);
  needsActivation(config, keys, ["silu"]);
}

function writeGemma3(config: Gemma3Config, keys: KeyWriter): void {
  writeHeads(config, keys, config.maxSequenceLength);
  writeRope(config.rope, keys);
  keys.float("rope.freq_base_swa", config.localRope.theta);
  keys.uint("attention.sliding_window", config.window);
  if (config.logitSoftcap !== undefined) keys.float("final_logit_softcapping", config.logitSoftcap);
  const locals = Array.from({ length: config.numLayers }, (_, layer) => config.isLocal(layer));
  // Files without the key are read by older versions too.
  if (!locals.every((isLocal, layer) => isLocal === ((layer + 1) % GEMMA3_PATTERN !== 0)))
    keys.booleans("attention.sliding_window_pattern", locals);
  keys.needs(config.localRope.scaling === undefined, "positions of the layers with a window must not be stretched");
  const { queryPreAttentionScalar: scalar, headDim } = config;
  keys.needs(scalar === headDim, `query_pre_attn_scalar must be head_dim, ${headDim}, not ${scalar}`);
  keys.needs(!config.attentionBias, "attention_bias must be false");
  needsActivation(config, keys, ["gelu_new"]);
}

function writeGpt2(config: GPT2Config, keys: KeyWriter): void {
  writeSizes(config, keys);
  keys.float("attention.layer_norm_epsilon", config.layerNormEpsilon);
  keys.needs(config.scalesByHead, "scale_attn_weights must be true");
  keys.needs(!config.scalesByLayer, "scale_attn_by_inverse_layer_idx must be false");
  needsActivation(config, keys, ["gelu_new"]);
}

function writeGptNeoX(config: GPTNeoXConfig, keys: KeyWriter): void {
  writeSizes(config, keys);
  keys.float("attention.layer_norm_epsilon", config.layerNormEpsilon);
  keys.boolean("use_parallel_residual", config.parallelResidual);
  writeRope(config.rope, keys);
  keys.needs(config.attentionBias, "attention_bias must be true");
  // It computes the approximation for both.
  needsActivation(config, keys, ["gelu", "gelu_new"]);
}

function writeSizes(
  config: Pick<DecoderConfig, "maxSequenceLength" | "intermediateSize" | "numHeads">,
  keys: KeyWriter,
): void {
  keys.uint("context_length", config.maxSequenceLength);
  keys.uint("feed_forward_length", config.intermediateSize);
  keys.uint("attention.head_count", config.numHeads);
}

function writeHeads(
  config: Pick<
    DecoderConfig,
    "intermediateSize" | "numHeads" | "numKeyValueHeads" | "headDim" | "rmsNormEpsilon" | "maxSequenceLength"
  >,
  keys: KeyWriter,
  contextLength: number,
): void {
  writeSizes({ ...config, maxSequenceLength: contextLength }, keys);
  keys.uint("attention.head_count_kv", config.numKeyValueHeads);
  keys.uint("attention.key_length", config.headDim);
  keys.uint("attention.value_length", config.headDim);
  keys.float("attention.layer_norm_rms_epsilon", config.rmsNormEpsilon);
}

function writeRope(rope: Rope, keys: KeyWriter): void {
  const { headDim, rotaryDim = headDim, theta, scaling } = rope;
  keys.uint("rope.dimension_count", rotaryDim);
  keys.float("rope.freq_base", theta);
  switch (scaling?.kind) {
    case undefined:
      return;
    case "linear":
      keys.text("rope.scaling.type", "linear");
      keys.float("rope.scaling.factor", scaling.factor);
      return;
    case "yarn": {
      keys.text("rope.scaling.type", "yarn");
      keys.float("rope.scaling.factor", scaling.factor);
      keys.uint("rope.scaling.original_context_length", scaling.originalLength);
      const isUsual = scaling.seldom === 1 && scaling.often === 32 && scaling.truncates;
      keys.needs(isUsual, "yarn must have beta_slow 1, beta_fast 32 and truncate");
      const usual = 0.1 * Math.log(scaling.factor) + 1;
      keys.needs(Math.abs(scaling.attentionFactor - usual) < 1e-6, `yarn's attention_factor must be ${usual}`);
      return;
    }
    case "llama3": {
      const { scaling: _, ...plain } = rope;
      const stretched = rotaryFrequencies(rope, scaling.originalLength);
      const frequencies = rotaryFrequencies(plain, scaling.originalLength);
      // llama.cpp reads the divisors alone, and so do its readers, which know Meta's numbers.
      keys.float("rope.scaling.low_freq_factor", scaling.seldom);
      keys.float("rope.scaling.high_freq_factor", scaling.often);
      keys.uint("rope.scaling.original_context_length", scaling.originalLength);
      keys.needsFactors(scaling.kind);
      keys.factors(
        "rope_freqs.weight",
        Array.from(frequencies, (frequency, pair) => frequency / stretched[pair]!),
      );
      return;
    }
    case "longrope":
      keys.needsFactors(scaling.kind);
      // Without it the tensors are left over for all but Phi 3, and the file is not loaded.
      keys.text("rope.scaling.type", "longrope");
      keys.uint("rope.scaling.original_context_length", scaling.originalLength);
      keys.float("rope.scaling.attn_factor", scaling.attentionFactor);
      keys.factors("rope_factors_long.weight", scaling.longFactors);
      keys.factors("rope_factors_short.weight", scaling.shortFactors);
      return;
    default:
      keys.needs(false, `rope_type must be default, linear, yarn, llama3 or longrope, not ${scaling?.kind}`);
  }
}

function needsActivation(
  { activation }: Pick<DecoderConfig, "activation">,
  keys: KeyWriter,
  names: readonly string[],
): void {
  const name = activation === undefined ? names[0]! : activationName(activation);
  keys.needs(names.includes(name), `the activation must be ${names.join(" or ")}, not ${name}`);
}
