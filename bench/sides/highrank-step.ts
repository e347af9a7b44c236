// One training step of highrank on ONNX Runtime's CPU provider, on the line protocol of bench/README.md. Under mpirun, its
// ranks share the micro-batches of the step.
import { injectAdapters } from "../../src/adapters/inject.js";
import { LoRAAdapter } from "../../src/adapters/lora-adapter.js";
import { onAnyRank } from "../../src/distributed/first.js";
import { launcherOf } from "../../src/distributed/launcher.js";
import { openMpi } from "../../src/distributed/mpi-transport.js";
import { diskParameters } from "../../src/loading/model-source.js";
import { quantizeLayers } from "../../src/loading/quantizing.js";
import { LlamaForCausalLM } from "../../src/models/llama.js";
import { llamaConfig } from "../../src/models/llama-config.js";
import { countElements, namedParameters } from "../../src/nn/module.js";
import { AdamW } from "../../src/optim/adamw.js";
import { clipCoefficient, globalNorm } from "../../src/optim/clip.js";
import { discardGradient } from "../../src/optim/gradient.js";
import { batchInput } from "../../src/programs/batch-input.js";
import { stepGraph, TrainingStep } from "../../src/programs/training-step.js";
import { createQuantizer } from "../../src/quant/quantizer.js";
import { Rng } from "../../src/tensor/random.js";
import { MeasuredRanks } from "../measured-ranks.js";
import type { RankStep } from "../side-process.js";
import { fixedBatch, parseStepOptions, readPackageVersion, readPreset } from "../step-options.js";
import { matmulShare } from "./matmul-share.js";
import { serveSide } from "./serve.js";

const launcher = launcherOf(process.env);
const ranks = new MeasuredRanks(launcher && (await openMpi({ launcher, timeoutSeconds: 120 })));
const options = parseStepOptions(process.argv.slice(2));
const { method, rank, vocab, batch, sequence, microBatches, threads, checkpointing } = options;
const preset = readPreset(options.preset);
const model = new LlamaForCausalLM(
  llamaConfig({
    vocabSize: vocab,
    hiddenSize: preset.hidden_size,
    intermediateSize: preset.intermediate_size,
    numLayers: preset.num_hidden_layers,
    numHeads: preset.num_attention_heads,
    ...(preset.num_key_value_heads !== undefined && { numKeyValueHeads: preset.num_key_value_heads }),
    tieWordEmbeddings: preset.tie_word_embeddings ?? false,
  }),
  new Rng(1),
);
const parameters = countElements(namedParameters(model).values());
if (options.quantize !== "none") {
  const weights = diskParameters(model);
  await quantizeLayers(model, createQuantizer(options.quantize), async (name) => weights.get(name)!.values);
}
if (method === "lora") for (const [, parameter] of namedParameters(model)) parameter.trainable = false;
if (method !== "full") {
  const targetModules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
  const createAdapter = (inFeatures: number, outFeatures: number, rng: Rng) =>
    new LoRAAdapter(inFeatures, outFeatures, { rank, alpha: 32 }, rng);
  injectAdapters(model, { targetModules, createAdapter }, new Rng(2));
}
const trained = new Map([...namedParameters(model)].filter(([, parameter]) => parameter.trainable));
const shape = {
  batchSize: batch,
  sequenceLength: sequence,
  lossChunk: 512,
  checkpointing,
  device: "cpu",
  threads,
  // As `train` computes.
  deterministic: false,
} as const;
const step = await TrainingStep.compile(model, trained, { ...shape, ranks });
const optimizer = new AdamW(
  [{ parameters: new Map([...trained].map(([name, { values }]) => [name, values])), lr: 1e-3, weightDecay: 0 }],
  { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
);
const batches = Array.from({ length: microBatches }, (_, i) => fixedBatch(options, i));

async function trainingStep(): Promise<Pick<RankStep, "loss" | "updateMs" | "exchangeMs" | "sentBytes" | "messages">> {
  const before = ranks.counts;
  const { loss, gradients } = await step.runAll(batches);
  const computed = performance.now();
  const gradientScale = clipCoefficient(globalNorm(gradients.values()), 1);
  optimizer.step(gradients, { lrMultiplier: 1, gradientScale });
  for (const gradient of gradients.values()) discardGradient(gradient);
  const updateMs = performance.now() - computed;
  // As `train` asks after each step whether a rank is to stop.
  await onAnyRank(ranks, false);
  const { exchangeMs, sentBytes, messages } = ranks.counts;
  return {
    loss,
    updateMs,
    exchangeMs: exchangeMs - before.exchangeMs,
    sentBytes: sentBytes - before.sentBytes,
    messages: messages - before.messages,
  };
}

await serveSide(
  {
    side: "highrank",
    version: readPackageVersion("onnxruntime-node"),
    parameters,
    trained: countElements(trained.values()),
    setup: { threads, checkpointing },
  },
  {
    step: trainingStep,
    async matmulShare() {
      const { inputIds: ids, labels } = batches[0]!;
      const feeds = { ids, labels, scale: Float32Array.of(1 / labels.length) };
      return matmulShare(stepGraph(model, trained, batchInput(shape, shape.lossChunk), checkpointing), feeds, threads);
    },
  },
  ranks,
);
