import { checkpoint } from "../autograd/recompute.js";
import { type CrossEntropyOptions, linearCrossEntropy, linearTokenLosses } from "../nn/cross-entropy.js";
import { Embedding } from "../nn/embedding.js";
import { applyLinear, Linear } from "../nn/linear.js";
import { Module, moduleSlots, namedParameters, type Parameter } from "../nn/module.js";
import { Norm } from "../nn/norm.js";
import { type Sequence, WholeSequence } from "../nn/sequence.js";
import { softcap } from "../nn/softcap.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { PLAIN_STORAGE, type WeightStorage } from "./weight-storage.js";

/** Keys that every architecture's config has, in our names. */
export interface CausalLMConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  /** Longest sequence the model is meant for. */
  readonly maxSequenceLength: number;
  /** True if the output projection is the embedding table. */
  readonly tieWordEmbeddings: boolean;
  /** Logits are kept within ± this value by a soft cap. Default: not capped. */
  readonly logitSoftcap?: number | undefined;
}

export interface ForwardOptions {
  /** Recompute each layer's activations in the backward pass instead of keeping them. Default false. */
  readonly checkpointing?: boolean;
  /** Positions of the tokens. Default: whole rows from their first token on. */
  readonly sequence?: Sequence;
}

/** Purpose of a parameter. */
export type ModelPart = "embeddings" | "head" | "norms" | "biases" | "linear";

/**
 * The output projection. Not a linear layer: the chunked loss reads the weight itself and would silently skip an
 * adapter in its place.
 */
export class LanguageModelHead extends Module {
  readonly weight: Parameter; // (vocabSize, hidden)

  constructor(weight: Parameter) {
    super();
    this.weight = weight;
  }

  /** The embedding table itself if the config ties them, else normal with its initializerRange. */
  static of(
    { tieWordEmbeddings, initializerRange }: { readonly tieWordEmbeddings: boolean; readonly initializerRange: number },
    { weight }: Embedding,
    rng: Rng,
  ): LanguageModelHead {
    if (tieWordEmbeddings) return new LanguageModelHead(weight);
    const [vocabSize, hiddenSize] = weight.shape as [number, number];
    return new LanguageModelHead(Linear.random(hiddenSize, vocabSize, rng.fork("head"), initializerRange).weight);
  }
}

/** One block of a model. x: (batch · time, hidden) → same; `layer` is its number, from 0. */
export interface DecoderLayer {
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor;
}

/**
 * Runs the layers one after another. `checkpointing`: recompute each layer's activations in the backward pass instead
 * of keeping them.
 */
export function runLayers(
  layers: readonly DecoderLayer[],
  x: Tensor,
  sequence: Sequence,
  checkpointing: boolean,
): Tensor {
  return layers.reduce((input, each, layer) => {
    const run = (y: Tensor) => each.forward(y, layer, sequence);
    return checkpointing ? checkpoint(run, input) : run(input);
  }, x);
}

/** A decoder-only language model: token embeddings, layers, and an output projection, tied to the embeddings or not. */
export abstract class CausalLM extends Module {
  abstract readonly config: CausalLMConfig;
  abstract readonly embedTokens: Embedding;
  abstract readonly lmHead: LanguageModelHead;

  /** Names of properties on disk that differ from the property's own: `qProj` is `q_proj`. */
  protected abstract get namesOnDisk(): Readonly<Record<string, string>>;

  /** Name of a parameter or module path in weight files. */
  override checkpointName(path: string): string {
    const names = this.namesOnDisk;
    return path
      .split(".")
      .map((part) => names[part] ?? part)
      .join(".");
  }

  /** Layout of the weights in files. */
  get storage(): WeightStorage {
    return PLAIN_STORAGE;
  }

  /**
   * Runs the layers and the last norm. ids: (batch, time) int32 → (batch · time, hidden). `sequence` holds the
   * positions of the tokens.
   */
  protected abstract forward(ids: Tensor, sequence: Sequence, checkpointing: boolean): Tensor;

  /** The output projection: (vocabSize, hidden). */
  get headWeight(): Parameter {
    return this.lmHead.weight;
  }

  /** Final hidden states. ids: (batch, time) int32 → (batch · time, hidden). */
  hidden(ids: Tensor, { checkpointing = false, sequence }: ForwardOptions = {}): Tensor {
    const [batch, time] = ids.shape as [number, number];
    return this.forward(ids, sequence ?? new WholeSequence(batch, time), checkpointing);
  }

  /** Scores of the next token from final hidden states. hidden: (n, hidden) → (n, vocabSize). */
  project(hidden: Tensor): Tensor {
    return softcap(applyLinear(hidden, this.headWeight), this.config.logitSoftcap);
  }

  /** Scores of every next token. ids: (batch, time) int32 → (batch · time, vocabSize). */
  logits(ids: Tensor, options: ForwardOptions = {}): Tensor {
    return this.project(this.hidden(ids, options));
  }

  /**
   * scale · Σ −log p(label): a scalar. ids and labels: (batch, time) int32; labels[b, t] is the token after ids[b, t],
   * or negative if it is not scored.
   */
  loss(ids: Tensor, labels: Tensor, options: ForwardOptions & Omit<CrossEntropyOptions, "softcap"> = {}): Tensor {
    return this.score(this.hidden(ids, options), reshape(labels, [labels.size]), options);
  }

  /** The same loss beside that of each token: (batch · time, 1), zero where it is not scored. */
  tokenLosses(
    ids: Tensor,
    labels: Tensor,
    options: ForwardOptions & Omit<CrossEntropyOptions, "softcap"> = {},
  ): { readonly total: Tensor; readonly each: Tensor } {
    const softcap = this.config.logitSoftcap;
    const flat = reshape(labels, [labels.size]);
    return linearTokenLosses(this.hidden(ids, options), this.headWeight, flat, { ...options, softcap });
  }

  /** The same loss from final hidden states (n, hidden) and labels (n). */
  score(hidden: Tensor, labels: Tensor, options: Omit<CrossEntropyOptions, "softcap"> = {}): Tensor {
    return linearCrossEntropy(hidden, this.headWeight, labels, { ...options, softcap: this.config.logitSoftcap });
  }
}

/** Purpose of each parameter of a model; those of adapters count as linear layers. */
export function modelParts(model: CausalLM): Map<Parameter, ModelPart> {
  const parts = new Map<Parameter, ModelPart>();
  for (const [path, parameter] of namedParameters(model)) {
    parts.set(parameter, /\bbias$/.test(path) ? "biases" : "linear");
  }
  for (const { module } of moduleSlots(model)) {
    const part =
      module instanceof Norm ? "norms" : module instanceof Embedding ? "embeddings" : module === model.lmHead && "head";
    if (part === false) continue;
    for (const parameter of namedParameters(module).values()) {
      // A tied head is the embedding table.
      if (part !== "head" || parts.get(parameter) !== "embeddings") parts.set(parameter, part);
    }
  }
  return parts;
}

/** One architecture and the reader of its config.json. */
export interface Architecture {
  /** `model_type` of config.json. */
  readonly modelType: string;
  /** That of its `WeightStorage`. */
  readonly inTransformers?: WeightStorage["inTransformers"];
  /** @throws ModelError naming all that highrank does not compute; CheckpointError for invalid values. */
  describe(json: Readonly<Record<string, unknown>>): ModelDescription;
}

/** A config.json that highrank computes in full. */
export interface ModelDescription {
  readonly config: CausalLMConfig;
  /** Layout of its models' weights in files. */
  readonly storage: WeightStorage;
  /** Creates a model with random weights. */
  create(rng: Rng): CausalLM;
}
