import { adapterParameters } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { BatchCursor } from "../data/cursor.js";
import type { Batch, BatchShapes } from "../data/packing.js";
import type { Collective } from "../distributed/collective.js";
import { trainedParameters } from "../loading/model-source.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import type { AdamW, AdamWState, StepOptions } from "../optim/adamw.js";
import type { Gradient } from "../optim/gradient.js";
import { type Evaluation, HeldOutLoss } from "../programs/held-out.js";
import { Probe, type ProbeResult, probeBatch } from "../programs/probe.js";
import { TextGenerator } from "../programs/text-generator.js";
import { TrainingStep } from "../programs/training-step.js";
import type { Quantizer } from "../quant/quantizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { createOptimizer } from "./optimizer.js";

/** A run's model and data, as its phases and the ends of its cycles need them. */
export interface TrainedRun {
  /** As asked for, models of the hub with their commit, so that a resumed run takes the same. */
  readonly settings: Settings;
  readonly model: CausalLM;
  /** The format of the frozen weights under the adapters; null for float32. */
  readonly quantizer: Quantizer | null;
  /** Null for rows of tokens and a model without one: no samples are written. */
  readonly tokenizer: Tokenizer | null;
  readonly cursor: BatchCursor;
  /** Training data to see what layers are fed. */
  readonly calibration: Batch;
  /** The held-out batches of every evaluation. */
  readonly heldOut: readonly Batch[];
  /** Sizes of the batches to train on and of those held out. */
  readonly shapes: BatchShapes;
  readonly threads: number;
  /** The processes that train together. */
  readonly ranks: Collective;
}

/** Measures of a model before or after a merge, which must not change what it computes. */
export interface Measured {
  readonly probe: ProbeResult;
  /** Not a number where milestones are not evaluated. */
  readonly heldOutLoss: number;
}

/** The graphs of a model in one structure. */
interface Graphs {
  readonly step: TrainingStep;
  readonly heldOut: HeldOutLoss;
  /** Null without a tokenizer. */
  readonly generator: TextGenerator | null;
  /** Null while the model has no adapters. */
  readonly probe: Probe | null;
}

/**
 * A phase of the plan under way: the model in the structure that it has in this phase, the graphs compiled of it, and
 * the optimizer of what it trains. The next phase is another one. Must be released.
 */
export class CompiledPhase {
  readonly model: CausalLM;
  /** The parameters that the phase trains, by name on disk. */
  readonly trained: ReadonlyMap<string, Parameter>;
  readonly optimizer: AdamW;
  readonly #run: TrainedRun;
  #graphs: Graphs;
  #isReleased = false;
  #updates = 0;
  /** The last evaluation; null once the model has changed. */
  #evaluation: Evaluation | null = null;

  private constructor(run: TrainedRun, graphs: Graphs, optimizer: AdamW) {
    this.model = run.model;
    this.trained = graphs.step.parameters;
    this.optimizer = optimizer;
    this.#run = run;
    this.#graphs = graphs;
  }

  /**
   * Compiles the model as it is built now, to train the parameters that are trainable now.
   * @param known the optimizer's state to go on from; tensors that it lacks start fresh.
   */
  static async compile(run: TrainedRun, known?: ReadonlyMap<string, AdamWState>): Promise<CompiledPhase> {
    const { model, settings } = run;
    const trained = trainedParameters(model);
    const optimizer = createOptimizer(model, trained, settings, known);
    return new CompiledPhase(run, await compileGraphs(run, trained), optimizer);
  }

  get step(): TrainingStep {
    return this.#graphs.step;
  }

  get generator(): TextGenerator | null {
    return this.#graphs.generator;
  }

  /** Updates made in this phase, by this process. */
  get updates(): number {
    return this.#updates;
  }

  /** Updates what is trained. */
  update(gradients: ReadonlyMap<string, Gradient>, options: StepOptions): void {
    this.optimizer.step(gradients, options);
    this.#updates++;
    this.changed();
  }

  /** To be called when weights have changed otherwise than by `update`. */
  changed(): void {
    this.#evaluation = null;
  }

  /** The evaluation of the model as it is on the held-out batches. It is made once for each change of the model. */
  async evaluate(): Promise<Evaluation> {
    this.#evaluation ??= await this.#graphs.heldOut.run(this.#run.heldOut);
    return this.#evaluation;
  }

  /** A held-out loss that tells whether the model still computes: of the first batch alone where no other is known. */
  async glanceAtLoss(): Promise<number> {
    const { loss } = this.#evaluation ?? (await this.#graphs.heldOut.run(this.#run.heldOut.slice(0, 1)));
    return loss;
  }

  /**
   * Runs the probe, and the held-out batches where milestones are evaluated.
   * @param evaluates false leaves out the held-out batches in any case.
   * @throws Error in a phase without adapters.
   */
  async measure(evaluates = true): Promise<Measured> {
    const { probe } = this.#graphs;
    if (probe === null) throw new Error("a phase without adapters has no merges to measure");
    const { evalMilestones } = this.#run.settings;
    return {
      probe: await probe.run(),
      heldOutLoss: evaluates && evalMilestones ? (await this.evaluate()).loss : Number.NaN,
    };
  }

  /** Does work that needs the memory of the graphs, and compiles them anew. The model must then compute the same. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    await this.release();
    const result = await work();
    this.#graphs = await compileGraphs(this.#run, this.trained);
    this.#isReleased = false;
    return result;
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const { step, heldOut, generator, probe } = this.#graphs;
    for (const part of [step, heldOut, generator, probe]) await part?.release();
  }
}

async function compileGraphs(
  { model, tokenizer, shapes, heldOut, threads, ranks, settings }: TrainedRun,
  trained: ReadonlyMap<string, Parameter>,
): Promise<Graphs> {
  const { device, deterministic, lossChunk, checkpointing } = settings;
  const machine = { device, threads, deterministic };
  const step = await TrainingStep.compile(model, trained, {
    ...shapes.train,
    lossChunk,
    checkpointing,
    ranks,
    ...machine,
  });
  const heldOutLoss = await HeldOutLoss.compile(model, { ...shapes.heldOut, lossChunk, ...machine }, ranks);
  const generator = tokenizer === null ? null : new TextGenerator(model, tokenizer, machine);
  const hasAdapters = adapterParameters(model).size > 0;
  const probe = hasAdapters ? await Probe.compile(model, probeBatch(heldOut[0]!, shapes.heldOut), machine) : null;
  return { step, heldOut: heldOutLoss, generator, probe };
}
