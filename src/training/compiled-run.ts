import type { Settings } from "../config/settings.js";
import { AdamWKernel } from "../optim/adamw-kernel.js";
import { adapterParameters } from "./adapters.js";
import { HeldOutLoss } from "./held-out.js";
import type { MasterWeights } from "./master-weights.js";
import { Merger } from "./merging.js";
import { trainedParameters } from "./model-source.js";
import type { PreparedRun } from "./prepare.js";
import { Probe, probeBatch } from "./probe.js";
import { TrainingStep } from "./step.js";
import { TextGenerator } from "./text-generator.js";

/** The probe of a merge is this long at most: all its logits are kept. */
const PROBE_TOKENS = 128;

/** The graphs of a phase: what is compiled for the model as it is built now. */
export interface CompiledRun {
  readonly step: TrainingStep;
  readonly adamw: AdamWKernel;
  readonly heldOut: HeldOutLoss;
  readonly generator: TextGenerator;
  /** Undefined while the model has no adapters. */
  readonly merger: Merger | undefined;
  release(): Promise<void>;
}

/**
 * Compiles a model in its present structure, to train the parameters that are trainable now. Must be released.
 * @param master what merges add to.
 */
export async function compileRun(
  { model, tokenizer, heldOut, threads }: PreparedRun,
  settings: Settings,
  master: MasterWeights,
): Promise<CompiledRun> {
  const { device, batchSize, sequenceLength, lossChunk, checkpointing } = settings;
  const machine = { device, threads };
  const shape = { batchSize, sequenceLength, lossChunk, ...machine };
  const step = await TrainingStep.compile(model, trainedParameters(model), { ...shape, checkpointing });
  const adamw = new AdamWKernel({ threads });
  const heldOutLoss = await HeldOutLoss.compile(model, shape);
  const generator = new TextGenerator(model, tokenizer, machine);
  const hasAdapters = adapterParameters(model).size > 0;
  const batch = probeBatch(heldOut[0]!, Math.min(PROBE_TOKENS, sequenceLength));
  const probe = hasAdapters ? await Probe.compile(model, batch, machine) : undefined;
  return {
    step,
    adamw,
    heldOut: heldOutLoss,
    generator,
    merger: probe && new Merger(model, probe, master),
    async release() {
      await step.release();
      await adamw.release();
      await heldOutLoss.release();
      await generator.release();
      await probe?.release();
    },
  };
}
