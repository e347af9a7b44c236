import { adaptersOf, mergeableLayers } from "../adapters/inject.js";
import { MERGE_POLICY_KINDS } from "../adapters/merge-policies.js";
import { largest, sum } from "../base/numbers.js";
import { arenaUse } from "../compiler/arena.js";
import { type CompiledGraph, compileGraph, PROFILES } from "../compiler/compile.js";
import type { Settings } from "../config/settings.js";
import type { BatchShape, BatchShapes } from "../data/packing.js";
import { trainedParameters } from "../loading/model-source.js";
import type { Parameter } from "../nn/module.js";
import { largestInput } from "../programs/batch-input.js";
import { layerInputsGraph } from "../programs/layer-inputs.js";
import { probeLength } from "../programs/probe.js";
import { lossOf, stepGraph } from "../programs/training-step.js";
import { searchedParameters } from "../relora/core-bases.js";
import { planRun, type ReloraConfig } from "../relora/plan.js";
import { type MemoryEstimate, totalBytes } from "../runs/metrics.js";
import { LARGEST_KEPT_RESULTS } from "../runtime/evaluate.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import type { RunShape } from "./run-shape.js";

/** Memory that the process holds before the model, in bytes. */
export interface HeldMemory {
  /** Before data was read. */
  readonly atStart: number;
  /** Of data and tokenizer. */
  readonly data: number;
  /** At most so far. */
  readonly peak: number;
}

type MemorySettings = ReloraConfig &
  Pick<
    Settings,
    | "batchSize"
    | "totalBatchSize"
    | "sequenceLength"
    | "deterministic"
    | "checkpointing"
    | "lossChunk"
    | "quantize"
    | "mergePolicy"
  >;

const FLOAT = 4;

/** ONNX Runtime's library with its first session: 23 MiB in version 1.30 on Linux. */
const RUNTIME_BYTES = 24 * 2 ** 20;

/**
 * The heap that V8 adds for young objects while graphs are built and steps run, unless reading data has done so: 24
 * to 26 MiB on Node.js 20.
 */
const YOUNG_BYTES = 24 * 2 ** 20;

/**
 * Memory of a session for a node, once it has run, and of building it: 12 to 20 KiB on models from nano to 350m,
 * whatever their sizes.
 */
const NODE_BYTES = 16 * 1024;

/** Chunks of the loss, in tokens the largest batch whose graph is built for the estimate. */
const MOST_CHUNKS = 64;

/** Restarts that are reckoned with where the losses will say how many there are: about as many as were seen. */
const RESTARTS_WHEN_FULL = 20;

/** The estimate of the phase of a run that needs most. Builds the graphs of each, without values. */
export function estimateMemory(
  phases: readonly RunShape[],
  settings: MemorySettings,
  shapes: BatchShapes,
  held: HeldMemory,
): MemoryEstimate {
  const { merges, restartsWhenFull } = planRun(settings);
  const cycles = merges.length + (restartsWhenFull ? RESTARTS_WHEN_FULL : 0);
  const estimates = phases.flatMap((phase) => estimatePhase(phase, settings, shapes, held, cycles));
  const most = estimates.reduce((largest, each) => (totalBytes(each) > totalBytes(largest) ? each : largest));
  // Reading data and training a tokenizer can take more than training a small model.
  return { ...most, data: most.data + Math.max(0, held.peak - totalBytes(most)) };
}

/**
 * Estimates of a step, with adapters also of a merge, and with a search for their starts of that: sessions keep their
 * memory between their runs.
 */
function estimatePhase(
  phase: RunShape,
  settings: MemorySettings,
  shapes: BatchShapes,
  held: HeldMemory,
  merges: number,
): MemoryEstimate[] {
  const { model, adapterParameters, trainableParameters, baseBytes } = phase;
  const { totalBatchSize, lossChunk, checkpointing } = settings;
  const [train, heldOut] = [builtShape(shapes.train, lossChunk), builtShape(shapes.heldOut, lossChunk)];
  const compileStep = (parameters: ReadonlyMap<string, Parameter>): CompiledGraph =>
    compile(stepGraph(model, parameters, largestInput(train.shape, lossChunk), checkpointing), settings);
  const step = compileStep(trainedParameters(model));
  const evaluation = compile({ loss: lossOf(model, largestInput(heldOut.shape, lossChunk)) }, settings);
  const [stepUse, evaluationUse] = [arenaUse(step), arenaUse(evaluation)];
  const activations = (stepUse.bytes - stepUse.results) * train.times + evaluationUse.bytes * heldOut.times;
  const cycles = adapterParameters === 0 ? 0 : merges;
  const learned = sum([...adaptersOf(model).values()].map(({ learnedSize }) => learnedSize));
  const estimate = {
    program:
      held.atStart +
      RUNTIME_BYTES +
      Math.max(0, YOUNG_BYTES - held.data) +
      NODE_BYTES * (step.graph.nodes.length + evaluation.graph.nodes.length),
    data: held.data,
    base: baseBytes + (cycles > 1 ? carriedErrors(phase, settings) : 0),
    // While the adapter is published, the cycles are joined.
    adapters: FLOAT * Math.max(adapterParameters, learned * cycles),
    // Over several micro-batches also their sums, which are those of a tree.
    gradients: stepUse.results * (2 + Math.ceil(Math.log2(totalBatchSize / shapes.train.batchSize))),
    optimizer: 2 * FLOAT * trainableParameters,
    activations,
  };
  if (cycles === 0) return [estimate];
  const searched = searchedParameters(model);
  const search = searched.size > 0 ? arenaUse(compileStep(searched)) : undefined;
  const merge = {
    ...estimate,
    adapters: estimate.adapters + FLOAT * learned,
    gradients: stepUse.results,
    activations: activations + mergeBytes(phase, settings) + layerInputBytes(phase, settings, shapes.train),
  };
  if (search === undefined) return [estimate, merge];
  const restart = {
    ...estimate,
    gradients: 3 * search.results,
    activations: (search.bytes - search.results) * train.times,
  };
  return [estimate, merge, restart];
}

/**
 * The shape whose graph is built for the estimate, and how many times as much the batches themselves are: the graph of
 * a batch of many chunks takes long to build, and what it computes grows with the batch.
 */
function builtShape(shape: BatchShape, lossChunk: number): { readonly shape: BatchShape; readonly times: number } {
  const { batchSize, sequenceLength, mostTokens } = shape;
  const perRow = (mostTokens ?? batchSize * sequenceLength) / batchSize;
  const built = Math.min(batchSize, Math.ceil((MOST_CHUNKS * lossChunk) / perRow));
  const tokens = mostTokens === undefined ? {} : { mostTokens: Math.ceil(perRow * built) };
  return { shape: { batchSize: built, sequenceLength, ...tokens }, times: batchSize / built };
}

function compile(
  outputs: Readonly<Record<string, Tensor>>,
  { deterministic }: Pick<Settings, "deterministic">,
): CompiledGraph {
  return compileGraph(outputs, PROFILES.cpu, { deterministic });
}

/** Bytes of the errors that error feedback keeps of every adapted layer. */
function carriedErrors({ model }: RunShape, { quantize, mergePolicy }: MemorySettings): number {
  return quantize === "none" || !MERGE_POLICY_KINDS[mergePolicy].carriesError
    ? 0
    : FLOAT * sum(adaptedSizes({ model }));
}

/**
 * Logits of the probe, computed, copied, and held of before and after; of the largest layer the update, the weight
 * before and after, and while a product of adapters is added to a weight both and the sum, which is copied when it is
 * returned; and what stays in the sessions of merges, which have a few for each size of a layer.
 */
function mergeBytes({ model }: RunShape, { sequenceLength }: MemorySettings): number {
  const probe = 4 * probeLength(sequenceLength) * model.config.vocabSize;
  const sizes = adaptedSizes({ model });
  const kept = [...new Set(sizes)].filter((size) => FLOAT * size <= LARGEST_KEPT_RESULTS);
  return FLOAT * (probe + 6 * largest(sizes) + KEPT_VALUES * sum(kept));
}

/** Values of the size of a layer in the sessions that merges keep: of its update, the sum with it, and their product. */
const KEPT_VALUES = 4;

/** Inputs of all layers, computed and copied, where adapters start near what rounding takes away. */
function layerInputBytes(
  { model }: RunShape,
  settings: MemorySettings,
  { batchSize, sequenceLength }: BatchShape,
): number {
  const { quantize, mergePolicy } = settings;
  if (quantize === "none" || !MERGE_POLICY_KINDS[mergePolicy].startsFromResidual) return 0;
  const ids = placeholder("ids", [batchSize, sequenceLength], "int32");
  const { bytes, results } = arenaUse(compile(layerInputsGraph(model, ids), settings));
  return bytes + results;
}

function adaptedSizes({ model }: Pick<RunShape, "model">): number[] {
  return [...mergeableLayers(model).values()].map(({ inFeatures, outFeatures }) => inFeatures * outFeatures);
}
