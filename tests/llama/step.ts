import { injectAdapters } from "../../src/adapters/inject.js";
import { LoRAAdapter } from "../../src/adapters/lora-adapter.js";
import { grad } from "../../src/autograd/grad.js";
import { LlamaForCausalLM } from "../../src/models/llama.js";
import { llamaConfig } from "../../src/models/llama-config.js";
import { namedParameters, type Parameter } from "../../src/nn/module.js";
import { Rng } from "../../src/tensor/random.js";
import { placeholder, type Tensor } from "../../src/tensor/tensor.js";

/** Sizes and choices of a training step; the default is a model of two layers. */
export interface StepOptions {
  readonly batch?: number;
  readonly time?: number;
  readonly vocabSize?: number;
  readonly hiddenSize?: number;
  readonly intermediateSize?: number;
  readonly numLayers?: number;
  readonly numHeads?: number;
  readonly numKeyValueHeads?: number;
  readonly tieWordEmbeddings?: boolean;
  /** Rank of adapters on all linears of the layers; 0, the default, for none. */
  readonly rank?: number;
  readonly checkpointing?: boolean;
  readonly chunkSize?: number;
  /** Gradients of all parameters, frozen ones too. Default true. */
  readonly includesFrozen?: boolean;
  readonly seed?: number;
}

/** The graph of one training step with values for all that it reads. */
export interface Step {
  readonly model: LlamaForCausalLM;
  /** `loss` and `grad.NAME` by the parameter's name on disk. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** (batch, time), of the tokens and labels. */
  readonly shape: readonly [number, number];
  readonly feeds: { readonly ids: Int32Array; readonly labels: Int32Array; readonly scale: Float32Array };
}

export const LORA_SCALING = 0.5;

const ALL_LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** Loss and gradients of a random LLaMA on random tokens, of which about a fifth are not scored. */
export function buildStep(options: StepOptions = {}): Step {
  const { batch = 2, time = 7, vocabSize = 19, rank = 0, includesFrozen = true, seed = 0 } = options;
  const { hiddenSize = 16, numHeads = 4, numKeyValueHeads = numHeads } = options;
  const rng = new Rng(seed, "step");
  const config = llamaConfig({
    vocabSize,
    hiddenSize,
    intermediateSize: options.intermediateSize ?? 24,
    numLayers: options.numLayers ?? 2,
    numHeads,
    numKeyValueHeads,
    tieWordEmbeddings: options.tieWordEmbeddings ?? false,
    // Attention far from uniform and logits far from equal, but neither saturated.
    initializerRange: 1.2 / Math.sqrt(hiddenSize),
  });
  const model = new LlamaForCausalLM(config, rng.fork("model"));
  if (rank > 0) {
    injectAdapters(
      model,
      {
        targetModules: ALL_LINEARS,
        createAdapter: (inFeatures, outFeatures, adapterRng) =>
          new LoRAAdapter(inFeatures, outFeatures, { rank, alpha: LORA_SCALING * rank }, adapterRng),
      },
      rng.fork("adapters"),
    );
  }
  const parameters = new Map(
    [...namedParameters(model)].map(([path, parameter]) => [diskName(model, path), parameter] as const),
  );
  for (const [name, parameter] of parameters) {
    // loraB as if trained, so that loraA has a gradient; norms away from one.
    if (name.includes("lora_B")) parameter.assign(parameter.values.map(() => 0.3 * rng.normal()));
    if (name.includes("norm")) parameter.assign(parameter.values.map(() => 1 + 0.2 * rng.normal()));
  }

  const ids = placeholder("ids", [batch, time], "int32");
  const labels = placeholder("labels", [batch, time], "int32");
  const scale = placeholder("scale", []);
  const { checkpointing = false, chunkSize = 256 } = options;
  const loss = model.loss(ids, labels, { scale, checkpointing, chunkSize });
  const wrt = [...parameters].filter(([, parameter]) => includesFrozen || parameter.trainable);
  const gradients = grad(
    loss,
    wrt.map(([, parameter]) => parameter),
  );
  const tokens = Int32Array.from({ length: batch * time }, () => rng.below(vocabSize));
  const targets = tokens.map(() => (rng.below(5) === 0 ? -100 : rng.below(vocabSize)));
  return {
    model,
    outputs: { loss, ...Object.fromEntries(wrt.map(([name], i) => [`grad.${name}`, gradients[i]!])) },
    parameters,
    shape: [batch, time],
    feeds: { ids: tokens, labels: targets, scale: Float32Array.of(1 / targets.filter((id) => id >= 0).length) },
  };
}

function diskName(model: LlamaForCausalLM, path: string): string {
  return model
    .checkpointName(path)
    .replace(".adapter.loraA", ".lora_A.weight")
    .replace(".adapter.loraB", ".lora_B.weight");
}
