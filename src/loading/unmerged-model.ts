import { cpuCount } from "#platform";
import { type LazyTensor, readHostTensor } from "../formats/lazy-tensor.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import { largestChange, Probe, type ProbeResult } from "../programs/probe.js";
import type { HostTensor } from "../tensor/dtype.js";
import { Rng } from "../tensor/random.js";
import type { MergeVerification } from "../training/contracts.js";
import { diskParameters, loadModel, type ModelSource } from "./model-source.js";
import { applyUpdates, type LayerUpdate } from "./updated-linear.js";

/** A model as the parts that merging joins. */
export interface UnmergedModel {
  readonly source: ModelSource;
  /** The Hugging Face folder of the source. */
  readonly baseFolder: string;
  /** Weights in place of those of the source, by name on disk. */
  readonly replaced: ReadonlyMap<string, HostTensor | LazyTensor>;
  /** Updates on top, by the name of their layer. */
  readonly updates: ReadonlyMap<string, LayerUpdate>;
  /** What the frozen weights are quantized with, in the source or in training alone, in words; null for float32. */
  readonly quantizer: string | null;
}

/** A weight without its update in float32, row-major; dequantized where it is quantized. */
export async function readUnmerged({ source, replaced }: UnmergedModel, name: string): Promise<Float32Array> {
  const tensor = replaced.get(name);
  return tensor === undefined ? source.readWeight(name) : ((await readHostTensor(tensor)).data as Float32Array);
}

/** Tokens whose logits are compared, unless the model allows fewer. */
const PROBE_TOKENS = 64;

/** Compares the logits of a fixed random sequence, computed with the updates beside the float32 weights, with those of the merged folder. */
export async function compareMerged(unmerged: UnmergedModel, mergedFolder: string): Promise<MergeVerification> {
  const before = await probe(await float32Model(unmerged));
  const after = await probe(await loadModel(mergedFolder));
  let largestLogit = 0;
  for (const logit of before.logits) largestLogit = Math.max(largestLogit, Math.abs(logit));
  const largest = largestChange(before, after);
  return { tokens: before.tokens, largestChange: largest, largestLogit, relativeChange: largest / largestLogit };
}

async function float32Model(unmerged: UnmergedModel): Promise<CausalLM> {
  const model = describeModel(unmerged.source.config).create(new Rng(0));
  for (const [name, parameter] of diskParameters(model)) parameter.adopt(await readUnmerged(unmerged, name));
  await applyUpdates(model, unmerged.updates);
  return model;
}

async function probe(model: CausalLM): Promise<ProbeResult & { tokens: number }> {
  const { vocabSize, maxSequenceLength } = model.config;
  const rng = new Rng(0, "probe");
  const draw = (): number => Math.floor(rng.uniform() * vocabSize);
  const inputIds = Int32Array.from({ length: Math.min(PROBE_TOKENS, maxSequenceLength) }, draw);
  const batch = { inputIds, labels: inputIds };
  const compiled = await Probe.compile(model, batch, { device: "cpu", threads: cpuCount() });
  try {
    return { ...(await compiled.run()), tokens: inputIds.length };
  } finally {
    await compiled.release();
  }
}
