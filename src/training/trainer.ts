import { joinPath, peakMemoryBytes } from "#platform";
import { redrawDropout } from "../adapters/inject.js";
import type { LayerInputs } from "../adapters/low-rank-approximation.js";
import { createMergePolicy } from "../adapters/merge-policies.js";
import { hashModelFolder } from "../checkpoints/base-hash.js";
import { markBest, pruneCheckpoints } from "../checkpoints/checkpoint.js";
import { appendDelta } from "../checkpoints/delta-log.js";
import type { Settings } from "../config/settings.js";
import type { Batch } from "../data/packing.js";
import type { Parameter } from "../nn/module.js";
import type { AdamW } from "../optim/adamw.js";
import { clipCoefficient, globalNorm } from "../optim/clip.js";
import { discardGradient } from "../optim/gradient.js";
import { resetOptimizerState } from "../optim/reset.js";
import { describeQuantizer } from "../quant/quantizer.js";
import { NumericError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { adapterParameters, addAdapters, loraAdapters } from "./adapters.js";
import { type CompiledRun, compileRun } from "./compiled-run.js";
import type { Evaluation, TrainResult } from "./contracts.js";
import { recordLayerInputs } from "./layer-inputs.js";
import { MasterWeights } from "./master-weights.js";
import { startFromResiduals } from "./merging.js";
import type { EndRecord, EvalRecord, MetricsRecord, StartRecord } from "./metrics.js";
import { fillModel, type ModelSource, memorySource, openWeights } from "./model-source.js";
import { createOptimizer } from "./optimizer.js";
import type { PreparedRun } from "./prepare.js";
import { type QuantizationError, quantizeLayers } from "./quantizing.js";
import { planStep, type StepPlan } from "./relora.js";
import type { RunFolder } from "./run-folder.js";
import { type BaseIdentity, finishedModel, saveAdapter, saveCheckpoint, saveModel } from "./saving.js";
import { countScored } from "./step.js";

/** How the samples of the report are drawn. */
const SAMPLING = { temperature: 0.8, topK: 50, topP: 1 };

export interface TrainerHooks {
  readonly onRecord: (record: MetricsRecord) => void;
  /** Asked after each step; true saves a checkpoint and ends the run. */
  readonly stopRequested: () => boolean;
}

/** The training loop: does what the plan of each step says, and records it. */
export class Trainer {
  readonly #settings: Settings;
  readonly #run: PreparedRun;
  readonly #folder: RunFolder;
  readonly #hooks: TrainerHooks;
  readonly #started = performance.now();
  readonly #master: MasterWeights;
  #base: BaseIdentity | undefined;
  #compiled: CompiledRun | undefined;
  #optimizer: AdamW | undefined;
  #tokens = 0;
  #badSteps = 0;
  #mergedCycles = 0;
  /** Of the model as it is, where it has been evaluated since it last changed. */
  #heldOut: Evaluation | undefined;
  #lastEvaluation: EvalRecord | undefined;
  #best: { loss: number; step: number } | undefined;
  #checkpoint: string | null = null;

  constructor(settings: Settings, run: PreparedRun, folder: RunFolder, hooks: TrainerHooks) {
    this.#settings = settings;
    this.#run = run;
    this.#folder = folder;
    this.#hooks = hooks;
    let base: ReturnType<typeof openWeights> | undefined;
    this.#master = new MasterWeights(async (layer) => {
      base ??= openWeights(joinPath(folder.path, "base"));
      return (await base)(`${layer}.weight`);
    });
  }

  /**
   * Trains to the end or until asked to stop. The run folder is made when the first step is compiled.
   * @throws NumericError when too many updates in a row were not finite.
   */
  async run(start: StartRecord): Promise<TrainResult> {
    const { maxSteps, evalEvery, saveEvery } = this.#settings;
    this.#hooks.onRecord(start);
    try {
      await this.#begin(start);
      for (let step = 1; step <= maxSteps; step++) {
        const plan = planStep(step, this.#settings);
        await this.#update(plan);
        if (plan.merge) await this.#merge(plan);
        if (plan.resetOptimizer) await this.#resetOptimizer(plan);
        const last = step === maxSteps;
        const switches = !last && planStep(step + 1, this.#settings).addAdapters;
        const due = (every: number | null): boolean => last || (every !== null && step % every === 0);
        if (due(evalEvery) || switches) await this.#evaluate(step);
        const stop = !last && this.#hooks.stopRequested();
        if (due(saveEvery) || stop) await this.#save(plan);
        if (stop) return await this.#end(step, "stopped", null);
        if (switches) await this.#switchToAdapters(step);
      }
      return await this.#end(maxSteps, "done", await this.#saveFinished());
    } finally {
      await this.#release();
    }
  }

  async #begin(start: StartRecord): Promise<void> {
    const { source, model, threads } = this.#run;
    const adapted = planStep(1, this.#settings).addAdapters;
    // Before the other weights are read, so that no quantized layer is ever held in float32.
    const error = adapted ? await this.#quantize(source) : undefined;
    await fillModel(model, source);
    if (adapted) await this.#addAdapters(0, source);
    await this.#compile();
    await this.#folder.create(threads);
    await this.#folder.record(start);
    await this.#saveBase(source);
    if (error !== undefined) await this.#recordQuantization(0, error, null);
    await this.#evaluate(0);
  }

  async #saveFinished(): Promise<string> {
    const { model, source, tokenizer } = this.#run;
    const folder = joinPath(this.#folder.path, "model");
    await saveModel(
      folder,
      finishedModel(model, source.config, (layer) => this.#master.weight(layer)),
      tokenizer,
    );
    return folder;
  }

  async #record(record: MetricsRecord): Promise<void> {
    await this.#folder.record(record);
    this.#hooks.onRecord(record);
  }

  /** Quantizes the frozen weights, where the run asks for it and the model does not come with them quantized. */
  async #quantize({ readWeight }: ModelSource): Promise<QuantizationError | undefined> {
    const { model, quantizer } = this.#run;
    if (quantizer === null) return undefined;
    const error = await quantizeLayers(model, quantizer, readWeight);
    return error.layers.length > 0 ? error : undefined;
  }

  async #addAdapters(completedSteps: number, { readWeight }: ModelSource): Promise<void> {
    const { model } = this.#run;
    const { mergePolicy, seed } = this.#settings;
    const rng = new Rng(seed, "adapters", completedSteps);
    addAdapters(model, this.#settings, rng, (layer) =>
      createMergePolicy(mergePolicy, () => this.#master.weight(layer)),
    );
    await startFromResiduals(
      model,
      (layer) => readWeight(`${layer}.weight`),
      rng,
      () => this.#recordInputs(),
    );
  }

  /** Ends the warm start. */
  async #switchToAdapters(completedSteps: number): Promise<void> {
    const { model, source } = this.#run;
    const before = this.#lastEvaluation!.loss;
    await this.#release();
    const warm = memorySource(model, source.config);
    await this.#saveBase(warm);
    const error = await this.#quantize(warm);
    await this.#addAdapters(completedSteps, warm);
    await this.#compile();
    if (error !== undefined) await this.#recordQuantization(completedSteps, error, before);
  }

  /** What checkpoints and the delta log build on: the model before the first step, or at the end of the warm start. */
  async #saveBase(source: ModelSource): Promise<void> {
    const { tokenizer, quantizer } = this.#run;
    const folder = joinPath(this.#folder.path, "base");
    await saveModel(folder, source, tokenizer);
    const sha256 = await hashModelFolder(folder);
    this.#base = { sha256, quantizer: quantizer && describeQuantizer(quantizer) };
  }

  async #recordQuantization(step: number, error: QuantizationError, lossBefore: number | null): Promise<void> {
    const quantizer = describeQuantizer(this.#run.quantizer!);
    const lossAfter = await this.#heldOutLoss();
    await this.#record({ kind: "quantize", step, quantizer, lossBefore, lossAfter, ...error });
  }

  #recordInputs(): Promise<ReadonlyMap<string, LayerInputs>> {
    const { model, calibration, threads } = this.#run;
    const { device, sequenceLength } = this.#settings;
    return recordLayerInputs(model, calibration, sequenceLength, { device, threads });
  }

  async #compile(): Promise<void> {
    const compiled = await compileRun(this.#run, this.#settings, this.#master);
    this.#compiled = compiled;
    const adapters = adapterParameters(this.#run.model);
    const known = this.#optimizer?.state;
    this.#optimizer = createOptimizer(this.#trained, adapters, this.#settings, known, compiled.adamw);
  }

  async #update({ step, phase, cycle, lrMultiplier }: StepPlan): Promise<void> {
    const { lr, adapterLr, clipGradNorm, maxBadSteps, seed } = this.#settings;
    const started = performance.now();
    const batches = this.#nextBatches();
    const tokens = countScored(batches);
    const redraw = (i: number): void => redrawDropout(this.#run.model, new Rng(seed, `dropout/${i}`, step));
    const { loss, gradients } = await this.#compiled!.step.runAll(batches, redraw);
    const gradNorm = globalNorm(gradients.values());
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      const reason = Number.isFinite(loss) ? `the gradient's norm is ${gradNorm}` : `the loss is ${loss}`;
      await this.#record({ kind: "skip", step, reason });
      if (++this.#badSteps > maxBadSteps) await this.#diverge(step, reason);
      return;
    }
    this.#badSteps = 0;
    const gradientScale = clipGradNorm === null ? 1 : clipCoefficient(gradNorm, clipGradNorm);
    await this.#optimizer!.step(gradients, { lrMultiplier, gradientScale });
    this.#heldOut = undefined;
    for (const gradient of gradients.values()) discardGradient(gradient);
    this.#tokens += tokens;
    await this.#record({
      kind: "step",
      step,
      tokens: this.#tokens,
      loss,
      learningRate: (phase === "adapter" ? adapterLr : lr) * lrMultiplier,
      gradNorm,
      tokensPerSecond: tokens / ((performance.now() - started) / 1000),
      cycle,
      phase,
    });
  }

  #nextBatches(): Batch[] {
    const { batchSize, totalBatchSize } = this.#settings;
    return Array.from({ length: totalBatchSize / batchSize }, () => this.#run.cursor.next());
  }

  async #merge({ step, cycle }: StepPlan): Promise<void> {
    const { seed, mergePolicy } = this.#settings;
    const heldOutLoss = (): Promise<number> => this.#heldOutLoss();
    const merged = await this.#compiled!.merger!.merge({
      step,
      cycle,
      seed,
      policy: this.#run.quantizer && mergePolicy,
      log: (delta) => appendDelta(this.#folder.path, delta),
      onMerged: () => {
        this.#heldOut = undefined;
      },
      heldOutLoss,
      recordInputs: () => this.#recordInputs(),
    });
    await this.#record(merged);
    this.#mergedCycles = cycle;
  }

  async #resetOptimizer({ step }: StepPlan): Promise<void> {
    const { optimizerReset, pruneRatio: ratio, seed } = this.#settings;
    if (optimizerReset === "none") return;
    const { state } = this.#optimizer!;
    const states = [...adapterParameters(this.#run.model).keys()].map((name) => [name, state.get(name)!] as const);
    const reset = optimizerReset === "reset" ? { method: optimizerReset } : { method: optimizerReset, ratio };
    const zeroedFraction = resetOptimizerState(states, reset, new Rng(seed, "prune", step));
    await this.#record({ kind: "reset", step, zeroedFraction });
  }

  async #evaluate(step: number): Promise<void> {
    const { sampleTokens, samplePrompt, seed } = this.#settings;
    const { generator } = this.#compiled!;
    const { loss, perplexity, tokens } = await this.#evaluateHeldOut();
    const options = { ...SAMPLING, maxNewTokens: sampleTokens };
    const written = await generator.generate(samplePrompt, options, new Rng(seed, "sample", step));
    const sample = sampleTokens === 0 ? "" : samplePrompt + written.text;
    this.#lastEvaluation = { kind: "eval", step, loss, perplexity, tokens, sample };
    await this.#record(this.#lastEvaluation);
    await this.#folder.writeReport();
  }

  async #evaluateHeldOut(): Promise<Evaluation> {
    this.#heldOut ??= await this.#compiled!.heldOut.run(this.#run.heldOut);
    return this.#heldOut;
  }

  async #heldOutLoss(): Promise<number> {
    return (await this.#evaluateHeldOut()).loss;
  }

  async #save(plan: StepPlan): Promise<void> {
    const { step, phase, merge: merged } = plan;
    const path = this.#folder.path;
    const evaluated = this.#lastEvaluation?.step === step ? this.#lastEvaluation.loss : Number.POSITIVE_INFINITY;
    const isBest = evaluated < (this.#best?.loss ?? Number.POSITIVE_INFINITY);
    if (isBest) this.#best = { loss: evaluated, step };
    this.#checkpoint = await saveCheckpoint(path, step, {
      parameters: this.#trained,
      optimizer: this.#optimizer!,
      adapters: loraAdapters(this.#run.model),
      state: {
        phase,
        cycle: plan.cycle,
        mergedCycles: this.#mergedCycles,
        tokens: this.#tokens,
        badSteps: this.#badSteps,
        dataPosition: { ...this.#run.cursor.position },
        seed: this.#settings.seed,
        best: this.#best ?? null,
        base: this.#base!,
      },
    });
    if (isBest) await markBest(path, step);
    if (this.#settings.keepCheckpoints !== null) await pruneCheckpoints(path, this.#settings.keepCheckpoints);
    if (phase === "adapter") await saveAdapter(path, this.#run.model, this.#settings, this.#base!, { merged });
  }

  get #trained(): ReadonlyMap<string, Parameter> {
    return this.#compiled!.step.parameters;
  }

  async #diverge(step: number, reason: string): Promise<never> {
    const sound = [...this.#trained.values()].every(({ values }) => values.every(Number.isFinite));
    if (sound) await this.#save({ ...planStep(step, this.#settings), merge: false });
    await this.#end(step, "diverged", null);
    const saved =
      this.#checkpoint === null ? "no checkpoint was saved before" : `the last state is ${this.#checkpoint}`;
    throw new NumericError(
      `training diverged at step ${step}: ${this.#badSteps} updates in a row were skipped, at last because ${reason}; ` +
        `${saved}; try a lower lr or a longer warmupSteps`,
    );
  }

  async #end(step: number, outcome: EndRecord["outcome"], modelFolder: string | null): Promise<TrainResult> {
    const seconds = (performance.now() - this.#started) / 1000;
    const tokens = this.#tokens;
    await this.#record({ kind: "end", step, outcome, tokens, seconds, peakMemoryBytes: peakMemoryBytes() });
    await this.#folder.writeReport();
    return {
      outcome: outcome === "done" ? "done" : "stopped",
      runFolder: this.#folder.path,
      step,
      tokens,
      heldOutLoss: this.#lastEvaluation?.loss ?? null,
      checkpoint: this.#checkpoint,
      modelFolder,
    };
  }

  async #release(): Promise<void> {
    this.#heldOut = undefined;
    await this.#compiled?.release();
    this.#compiled = undefined;
  }
}
