import { adapterParameters } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import { trainedParameters } from "../loading/model-source.js";
import { AdamWKernel } from "../optim/adamw-kernel.js";
import { HeldOutLoss } from "../programs/held-out.js";
import { Probe, probeBatch } from "../programs/probe.js";
import { TextGenerator } from "../programs/text-generator.js";
import { TrainingStep } from "../programs/training-step.js";
import type { MasterWeights } from "../relora/master-weights.js";
import { Merger } from "../relora/merging.js";
import type { PreparedRun } from "./prepare.js";

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
  const batch = probeBatch(heldOut[0]!, sequenceLength);
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
