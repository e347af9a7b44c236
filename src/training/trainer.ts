import { joinPath, peakMemoryBytes, removeFolderAtomic } from "#platform";
import { loraAdapters, redrawDropout } from "../adapters/inject.js";
import type { LayerInputs } from "../adapters/low-rank-approximation.js";
import { MERGE_POLICIES } from "../adapters/merge-policies.js";
import { NumericError } from "../base/errors.js";
import type { Settings } from "../config/settings.js";
import { hashModelFolder } from "../formats/base-hash.js";
import { readChecksums } from "../formats/checksums.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import {
  fillModel,
  finishedModel,
  type ModelSource,
  memorySource,
  modelBytes,
  openWeights,
  saveBase,
  saveModel,
} from "../loading/model-source.js";
import type { QuantizationError } from "../loading/quantization-error.js";
import { quantizeLayers } from "../loading/quantizing.js";
import type { Parameter } from "../nn/module.js";
import type { AdamW, AdamWState } from "../optim/adamw.js";
import { clipCoefficient, globalNorm } from "../optim/clip.js";
import { discardGradient, type Gradient } from "../optim/gradient.js";
import type { Evaluation } from "../programs/held-out.js";
import { recordLayerInputs } from "../programs/layer-inputs.js";
import { countScored } from "../programs/training-step.js";
import { describeQuantizer } from "../quant/quantizer.js";
import { appendDelta, truncateDeltas } from "../relora/delta-log.js";
import { openTerms } from "../relora/delta-terms.js";
import { MasterWeights } from "../relora/master-weights.js";
import { type RestartedDirections, startFromResiduals } from "../relora/merging.js";
import { createOptimizer } from "../relora/optimizer.js";
import { isMergedWhole, planStep, type StepPlan } from "../relora/plan.js";
import { Restarts } from "../relora/restarts.js";
import { addAdapters } from "../relora/settings-adapters.js";
import { goBackTo, listCheckpoints, markBest, pruneCheckpoints } from "../runs/checkpoint.js";
import { waitForSpace } from "../runs/disk-space.js";
import { gentlerResume } from "../runs/divergence.js";
import { bestOf, type Ending, endingOf, publishedStep } from "../runs/early-stop.js";
import type { EndRecord, MetricsRecord, StartRecord } from "../runs/metrics.js";
import { Progress } from "../runs/progress.js";
import { publishCheckpoint } from "../runs/publishing.js";
import type { RunFolder } from "../runs/run-folder.js";
import type { LossAtStep } from "../runs/run-state.js";
import { restoreInto, type SavedRun, savedMoments } from "../runs/saved-run.js";
import { adapterBytes, type CheckpointParts, checkpointBytes, saveAdapter, saveCheckpoint } from "../runs/saving.js";
import { Rng } from "../tensor/random.js";
import { type CompiledRun, compileRun } from "./compiled-run.js";
import type { PreparedRun } from "./prepare.js";
import { nonFiniteTensor } from "./soundness.js";
import { adapterGradientFault, requireAllOptimized } from "./startup-checks.js";

/** The end of a run that did not fail. */
export interface TrainResult {
  /**
   * `early`: before its last step, because the held-out loss fell no more; `planned`: a dry run, of which the start
   * record is the whole outcome and nothing was written.
   */
  readonly outcome: "done" | "early" | "stopped" | "planned";
  readonly runFolder: string;
  /** Completed optimizer steps. */
  readonly step: number;
  /** Tokens trained on. */
  readonly tokens: number;
  /** The last evaluation's loss in nats, or null where none was made. */
  readonly heldOutLoss: number | null;
  /** The last checkpoint, or null where none was written. */
  readonly checkpoint: string | null;
  /** The finished Hugging Face folder, or null unless the outcome is `done` or `early`. */
  readonly modelFolder: string | null;
  /** The step that the finished model is of. */
  readonly modelStep: number | null;
}

/** Sampling of the texts in the report. */
const SAMPLING = { temperature: 0.8, topK: 50, topP: 1 };

export interface TrainerHooks {
  readonly onRecord: (record: MetricsRecord) => void;
  /** Hears what is to be said while the run goes on. */
  readonly onNotice: (text: string) => void;
  /** Asked after each step; true saves a checkpoint and ends the run. */
  readonly stopRequested: () => boolean;
  /** The step after which the run ends as if it had been asked to stop. */
  readonly untilStep: number | undefined;
}

/** The training loop: does what the plan of each step says, and records it. */
export class Trainer {
  readonly #settings: Settings;
  readonly #run: PreparedRun;
  readonly #folder: RunFolder;
  readonly #hooks: TrainerHooks;
  readonly #master: MasterWeights;
  readonly #restarts: Restarts;
  #progress: Progress = Progress.fresh();
  #base: BaseIdentity | undefined;
  #compiled: CompiledRun | undefined;
  #optimizer: AdamW | undefined;
  /** Evaluation of the model as it is, where there was one since it last changed. */
  #heldOut: Evaluation | undefined;
  /** Loss of the last step. */
  #trainingLoss = Number.NaN;
  /** Reason of the last update that was skipped. */
  #skipReason = "";
  #checkpoint: string | null = null;
  /** In the first cycle, of this process. */
  #adapterUpdates = 0;

  constructor(settings: Settings, run: PreparedRun, folder: RunFolder, hooks: TrainerHooks) {
    this.#settings = settings;
    this.#run = run;
    this.#folder = folder;
    this.#hooks = hooks;
    this.#restarts = new Restarts(settings, run);
    let base: ReturnType<typeof openWeights> | undefined;
    const readBase = async (layer: string): Promise<Float32Array> => {
      base ??= openWeights(joinPath(folder.path, "base"));
      return (await base)(`${layer}.weight`);
    };
    this.#master = new MasterWeights(readBase, (cycle) => openTerms(folder.path, cycle));
  }

  /**
   * Trains to the end, until the held-out loss falls no more, or until asked to stop. A fresh run makes its folder
   * when the first step is compiled.
   * @param saved the checkpoint to go on from.
   * @throws NumericError when too many updates in a row were skipped, when what is trained is no longer finite, when
   * the held-out loss says that training undoes what was learned, and when adapters get no gradient.
   */
  async run(start: StartRecord, saved?: SavedRun): Promise<TrainResult> {
    const { maxSteps, evalEvery, saveEvery, loadBest } = this.#settings;
    const progress = saved === undefined ? Progress.fresh() : Progress.savedAt(saved.checkpoint.step, saved.state);
    this.#progress = progress;
    this.#hooks.onRecord(start);
    try {
      await (saved === undefined ? this.#begin(start) : this.#restore(start, saved));
      let ending = this.#ending();
      while (ending === null) {
        const plan = planStep(progress.step + 1, this.#settings);
        if (plan.addAdapters && progress.step > 0) await this.#switchToAdapters();
        await this.#update(plan);
        const { step } = progress;
        const directions = plan.merge ? await this.#merge(plan) : undefined;
        if (plan.merge && step < maxSteps) await this.#startCores();
        if (plan.resetOptimizer) await this.#resetOptimizer(plan, directions);
        const last = step === maxSteps;
        const switches = !last && planStep(step + 1, this.#settings).addAdapters;
        const due = (every: number | null): boolean => last || (every !== null && step % every === 0);
        if (due(evalEvery) || switches) await this.#evaluate();
        await this.#stopIfDiverged(plan);
        ending = this.#ending();
        const stop = ending === null && (step === this.#hooks.untilStep || this.#hooks.stopRequested());
        if (due(saveEvery) || ending !== null || stop || (loadBest && progress.isBest)) {
          await this.#requireSound();
          await this.#save(plan);
        }
        if (stop) {
          await this.#publishAdapter();
          return await this.#end("stopped");
        }
      }
      return await this.#finish(ending);
    } finally {
      await this.#release();
    }
  }

  #ending(): Ending | null {
    return endingOf(this.#progress.step, this.#progress, this.#settings);
  }

  async #begin(start: StartRecord): Promise<void> {
    const { source, model, threads } = this.#run;
    const adapted = planStep(1, this.#settings).addAdapters;
    // Before the other weights are read, so that no quantized layer is ever held in float32.
    const error = adapted ? await this.#quantize(source) : undefined;
    await fillModel(model, source);
    if (adapted) await this.#addAdapters(source);
    await this.#compile();
    this.#restarts.primeCores(this.#optimizer!);
    await this.#folder.create(this.#settings, threads);
    await this.#folder.record(start);
    await this.#saveBase(source);
    if (error !== undefined) await this.#recordQuantization(error, null);
    const loss = await this.#evaluate();
    if (!Number.isFinite(loss)) {
      await this.#fail(
        `the held-out loss is ${loss} before the first step; check the weights of ${this.#settings.model}`,
      );
    }
  }

  /** Brings the model to where the checkpoint has it, and the folder back to what belongs to it. */
  async #restore(start: StartRecord, saved: SavedRun): Promise<void> {
    const { model, cursor } = this.#run;
    const progress = this.#progress;
    const { checkpoint, state } = saved;
    const { step } = checkpoint;
    const { path } = this.#folder;
    cursor.seek(state.dataPosition);
    await restoreInto(model, saved, this.#master);
    await this.#compile((trained) => savedMoments(saved, trained));
    this.#base = state.base;
    this.#checkpoint = checkpoint.folder;
    // In this order: wherever it ends, `last` names a checkpoint with all that it builds on.
    progress.best = bestOf(step, state, await listCheckpoints(path));
    await goBackTo(path, step, progress.best?.step ?? null);
    await truncateDeltas(path, state.deltas.length);
    // Of another step than this process will end with.
    for (const published of ["model", "adapter"]) await removeFolderAtomic(joinPath(path, published));
    // A run that is made longer has not done what its last step had left out.
    const planned = planStep(step, { ...this.#settings, maxSteps: state.maxSteps });
    const wanted = planStep(step, this.#settings);
    await this.#prune();
    await this.#folder.goOn(this.#settings, { step, records: state.records });
    await this.#folder.record(start);
    if (step === state.maxSteps && step < this.#settings.maxSteps) await this.#startCores();
    if (wanted.resetOptimizer && !planned.resetOptimizer) await this.#resetOptimizer(wanted);
  }

  async #finish(ending: Ending): Promise<TrainResult> {
    const progress = this.#progress;
    const { patience, maxSteps } = this.#settings;
    const { step, toBeat } = progress;
    if (ending === "early") {
      this.#hooks.onNotice(
        `None of the last ${patience} evaluations was below ${toBeat!.toFixed(4)}: the run ends after step ${step} of ${maxSteps}.`,
      );
    }
    const published = publishedStep(step, progress, this.#settings);
    const { path } = this.#folder;
    // Merged is what is in memory only after the last step of the plan.
    if (ending === "done" && published === step) {
      const folder = await this.#saveFinished();
      await this.#publishAdapter();
      return this.#end(ending, { step, folder });
    }
    await this.#release();
    const waitForSpace = this.#waitForSpace.bind(this);
    const folder = await publishCheckpoint(path, published, this.#run.companions, waitForSpace);
    return this.#end(ending, { step: published, folder });
  }

  async #saveFinished(): Promise<string> {
    const { model, source, companions } = this.#run;
    const folder = joinPath(this.#folder.path, "model");
    const finished = finishedModel(model, source.config, (layer) => this.#master.weight(layer));
    await this.#waitForSpace(modelBytes(finished), "the finished model");
    await saveModel(folder, finished, companions);
    return folder;
  }

  /**
   * Joins all cycles into RUN/adapter. Not with each checkpoint: it grows with every cycle, which a checkpoint does
   * not.
   */
  async #publishAdapter(): Promise<void> {
    const { step, deltas } = this.#progress;
    const { model } = this.#run;
    const plan = planStep(step, this.#settings);
    if (plan.phase !== "adapter") return;
    await this.#waitForSpace(adapterBytes(model) * (deltas.length + 1), "the adapter");
    const state = { base: this.#base!, deltas };
    await saveAdapter(this.#folder.path, { model, settings: this.#settings, state, merged: isMergedWhole(plan) });
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

  async #addAdapters({ readWeight }: ModelSource): Promise<void> {
    const { model } = this.#run;
    const { mergePolicy, seed } = this.#settings;
    const rng = new Rng(seed, "adapters", this.#progress.step);
    addAdapters(model, this.#settings, rng, (layer) =>
      MERGE_POLICIES[mergePolicy].create(() => this.#master.weight(layer)),
    );
    await startFromResiduals(
      model,
      (layer) => readWeight(`${layer}.weight`),
      rng,
      () => this.#recordInputs(),
    );
    await this.#restarts.startCores(this.#progress.step);
  }

  /** Gives cores new bases after a merge. The graph that finds them does not need to fit beside those that train. */
  async #startCores(): Promise<void> {
    if (this.#settings.adapterKind !== "core") return;
    const [heldOut, known] = [this.#heldOut, this.#optimizer!.state];
    await this.#release();
    await this.#restarts.startCores(this.#progress.step);
    await this.#compile(() => known);
    this.#heldOut = heldOut;
  }

  /** Ends the warm start. */
  async #switchToAdapters(): Promise<void> {
    const { model, source } = this.#run;
    await this.#release();
    const warm = memorySource(model, source.config);
    await this.#saveBase(warm);
    const error = await this.#quantize(warm);
    await this.#addAdapters(warm);
    const known = this.#optimizer!.state;
    await this.#compile(() => known);
    this.#restarts.primeCores(this.#optimizer!);
    if (error !== undefined) await this.#recordQuantization(error, this.#progress.evaluated?.loss ?? null);
  }

  /**
   * Saves the model that checkpoints and the delta log build on: that before the first step, or at the end of the
   * warm start.
   */
  async #saveBase(source: ModelSource): Promise<void> {
    const { companions, quantizer } = this.#run;
    const folder = joinPath(this.#folder.path, "base");
    await saveBase(folder, source, companions);
    const sha256 = await hashModelFolder(folder, await readChecksums(folder));
    this.#base = { sha256, quantizer: quantizer && describeQuantizer(quantizer) };
  }

  async #recordQuantization(error: QuantizationError, lossBefore: number | null): Promise<void> {
    const { step } = this.#progress;
    const quantizer = describeQuantizer(this.#run.quantizer!);
    const lossAfter = await this.#heldOutLoss();
    await this.#record({ kind: "quantize", step, quantizer, lossBefore, lossAfter, ...error });
  }

  #recordInputs(): Promise<ReadonlyMap<string, LayerInputs>> {
    const { model, calibration, threads } = this.#run;
    const { device, sequenceLength } = this.#settings;
    return recordLayerInputs(model, calibration, sequenceLength, { device, threads });
  }

  /** @param known the optimizer's state to go on from; what it lacks starts fresh. */
  async #compile(known?: (trained: Iterable<string>) => ReadonlyMap<string, AdamWState>): Promise<void> {
    const compiled = await compileRun(this.#run, this.#settings, this.#master);
    this.#compiled = compiled;
    const trained = this.#trained;
    this.#optimizer = createOptimizer(
      this.#run.model,
      trained,
      this.#settings,
      known?.(trained.keys()),
      compiled.adamw,
    );
    requireAllOptimized(this.#run.model, this.#optimizer);
  }

  async #update({ step, phase, cycle, lrMultiplier }: StepPlan): Promise<void> {
    const { lr, adapterLr, seed, batchSize, totalBatchSize, clipGradNorm } = this.#settings;
    const started = performance.now();
    const progress = this.#progress;
    progress.step = step;
    const batches = this.#run.cursor.take(totalBatchSize / batchSize);
    const tokens = countScored(batches);
    const redraw = (i: number): void => redrawDropout(this.#run.model, new Rng(seed, `dropout/${i}`, step));
    const { loss, gradients } = await this.#compiled!.step.runAll(batches, redraw);
    const gradNorm = globalNorm(gradients.values());
    this.#trainingLoss = loss;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      return this.#skip(Number.isFinite(loss) ? `the gradient's norm is ${gradNorm}` : `the loss is ${loss}`);
    }
    progress.badSteps = 0;
    if (phase === "adapter" && cycle === 1) await this.#requireAdapterGradients(gradients);
    const gradientScale = clipCoefficient(gradNorm, clipGradNorm);
    await this.#optimizer!.step(gradients, { lrMultiplier, gradientScale });
    this.#heldOut = undefined;
    for (const gradient of gradients.values()) discardGradient(gradient);
    progress.tokens += tokens;
    await this.#record({
      kind: "step",
      step,
      tokens: progress.tokens,
      loss,
      learningRate: (phase === "adapter" ? adapterLr : lr) * lrMultiplier,
      gradNorm,
      tokensPerSecond: tokens / ((performance.now() - started) / 1000),
      cycle,
      phase,
    });
  }

  async #skip(reason: string): Promise<void> {
    const progress = this.#progress;
    progress.skip();
    this.#skipReason = reason;
    const { step, badSteps, skipped } = progress;
    await this.#record({ kind: "skip", step, reason, inARow: badSteps, skipped });
    // No later batch would heal these.
    const tensor = this.#nonFiniteTensor();
    if (tensor !== null) await this.#diverge(`${tensor} is no longer finite`);
  }

  async #requireAdapterGradients(gradients: ReadonlyMap<string, Gradient>): Promise<void> {
    const adapters = loraAdapters(this.#run.model);
    const before = this.#adapterUpdates++;
    const fault = adapterGradientFault({ adapters, gradients, before });
    if (fault !== null) await this.#fail(fault);
  }

  async #merge({ step, cycle, mergeShare: share }: StepPlan): Promise<RestartedDirections> {
    const { seed, mergePolicy } = this.#settings;
    const heldOutLoss = (): Promise<number> => this.#heldOutLoss();
    const { path } = this.#folder;
    await this.#requireSound();
    await this.#waitForSpace(adapterBytes(this.#run.model), "the update of this cycle");
    const { report, directions } = await this.#compiled!.merger!.merge({
      step,
      cycle,
      seed,
      share,
      policy: this.#run.quantizer && mergePolicy,
      log: async (delta) => void this.#progress.deltas.push(await appendDelta(path, delta)),
      onMerged: () => {
        this.#heldOut = undefined;
      },
      heldOutLoss,
      recordInputs: () => this.#recordInputs(),
    });
    await this.#record({ kind: "merge", ...report });
    return directions;
  }

  /** @param directions what the merge before restarted; by default all. */
  async #resetOptimizer({ step }: StepPlan, directions: RestartedDirections = new Map()): Promise<void> {
    if (this.#settings.optimizerReset === "none") return;
    const zeroedFraction = await this.#restarts.resetOptimizer(
      step,
      this.#optimizer!,
      this.#compiled!.step,
      directions,
    );
    await this.#record({ kind: "reset", step, zeroedFraction });
  }

  async #evaluate(): Promise<number> {
    const { step } = this.#progress;
    const { sampleTokens, samplePrompt, seed } = this.#settings;
    const { generator } = this.#compiled!;
    const { loss, perplexity, tokens } = await this.#evaluateHeldOut();
    const options = { ...SAMPLING, maxNewTokens: sampleTokens };
    const written = await generator.generate(samplePrompt, options, new Rng(seed, "sample", step));
    const sample = sampleTokens === 0 ? "" : samplePrompt + written.text;
    const isWarmStart = planStep(Math.max(1, step), this.#settings).phase === "warm-start";
    this.#progress.evaluate(loss, this.#trainingLoss, this.#settings, !isWarmStart);
    await this.#record({ kind: "eval", step, loss, perplexity, tokens, sample });
    await this.#folder.writeReport();
    return loss;
  }

  async #evaluateHeldOut(): Promise<Evaluation> {
    this.#heldOut ??= await this.#compiled!.heldOut.run(this.#run.heldOut);
    return this.#heldOut;
  }

  async #heldOutLoss(): Promise<number> {
    return (await this.#evaluateHeldOut()).loss;
  }

  async #save({ step, phase, cycle }: StepPlan): Promise<void> {
    const { model, cursor, dataSha256 } = this.#run;
    const { seed, maxSteps } = this.#settings;
    const { path } = this.#folder;
    const base = this.#base!;
    const progress = this.#progress;
    const started = progress.seconds;
    const best = progress.markBest();
    const records = await this.#folder.syncRecords();
    const dataPosition = { ...cursor.position };
    const state = { ...progress.state, phase, cycle, maxSteps, dataPosition, dataSha256, seed, base, records };
    const parts: CheckpointParts = {
      parameters: this.#trained,
      optimizer: this.#optimizer!,
      adapters: loraAdapters(model),
      state,
    };
    await this.#waitForSpace(checkpointBytes(parts), `checkpoint ${step}`);
    this.#checkpoint = await saveCheckpoint(path, step, parts);
    if (best) await markBest(path, step);
    await this.#prune();
    progress.savingSeconds += progress.seconds - started;
  }

  async #prune(): Promise<void> {
    const { keepCheckpoints } = this.#settings;
    if (keepCheckpoints !== null) await pruneCheckpoints(this.#folder.path, keepCheckpoints);
  }

  #waitForSpace(bytes: number, purpose: string): Promise<void> {
    return waitForSpace(this.#folder.path, bytes, purpose, this.#hooks);
  }

  get #trained(): ReadonlyMap<string, Parameter> {
    return this.#compiled!.step.parameters;
  }

  #nonFiniteTensor(): string | null {
    return nonFiniteTensor(this.#trained, this.#optimizer!);
  }

  /** The fault that keeps the present state from being resumed, in words; null where there is none. */
  async #fault(): Promise<string | null> {
    const tensor = this.#nonFiniteTensor();
    if (tensor !== null) return `${tensor} is no longer finite`;
    const { loss } = this.#heldOut ?? (await this.#compiled!.heldOut.run(this.#run.heldOut.slice(0, 1)));
    return Number.isFinite(loss) ? null : `the held-out loss is ${loss}`;
  }

  /** Sees to it that nothing is saved or merged that the run could not go on from. */
  async #requireSound(): Promise<void> {
    const fault = await this.#fault();
    if (fault !== null) await this.#diverge(fault);
  }

  /**
   * Saves the present state, where that is one to go on from, and ends the run, where its numbers say that it should
   * not go on.
   */
  async #stopIfDiverged(plan: StepPlan): Promise<void> {
    const { maxBadSteps, divergenceFactor, divergenceEvals } = this.#settings;
    const progress = this.#progress;
    const { badSteps, divergingEvals, lowestLoss, best } = progress;
    const tooHigh = divergingEvals >= divergenceEvals;
    if (badSteps <= maxBadSteps && !tooHigh) return;
    // Whoever goes on from here has decided to, and gets the whole allowance.
    progress.badSteps = 0;
    progress.divergingEvals = 0;
    // A first checkpoint would be the best.
    if ((best !== null || !tooHigh) && (await this.#fault()) === null) await this.#save(plan);
    if (!tooHigh)
      return this.#diverge(`${badSteps} updates in a row were skipped, at last because ${this.#skipReason}`);
    const reason =
      `the held-out loss is ${await this.#heldOutLoss()}, above ${divergenceFactor} times its lowest, ${lowestLoss}, ` +
      `in evaluation ${divergingEvals} in a row`;
    await this.#diverge(reason, best);
  }

  /** @param best the checkpoint to go on from; null for the last one. */
  async #diverge(reason: string, best: LossAtStep | null = null): Promise<never> {
    const command = gentlerResume(this.#folder.path, best === null ? "last" : "best", this.#settings);
    const from =
      best !== null
        ? `the best checkpoint is that of step ${best.step}, with ${best.loss}; go on from it`
        : this.#checkpoint !== null
          ? `${this.#checkpoint} is the last good state; go on from it`
          : "no checkpoint was saved before; begin anew";
    return this.#fail(
      `training diverged at step ${this.#progress.step}: ${reason}; ${from} with a lower lr: ${command}`,
    );
  }

  async #fail(message: string): Promise<never> {
    await this.#end("diverged");
    throw new NumericError(message);
  }

  /** @param model what was published of the run, and the step that it is of. */
  async #end(
    outcome: EndRecord["outcome"],
    model: { readonly step: number; readonly folder: string } | null = null,
  ): Promise<TrainResult> {
    const { step, tokens, skipped, seconds, savingSeconds, evaluated } = this.#progress;
    const times = { seconds, savingSeconds, peakMemoryBytes: peakMemoryBytes() };
    const modelStep = model?.step ?? null;
    await this.#record({ kind: "end", step, outcome, modelStep, tokens, skipped, ...times });
    await this.#folder.writeReport();
    return {
      outcome: outcome === "diverged" ? "stopped" : outcome,
      runFolder: this.#folder.path,
      step,
      tokens,
      heldOutLoss: evaluated?.loss ?? null,
      checkpoint: this.#checkpoint,
      modelFolder: model?.folder ?? null,
      modelStep,
    };
  }

  async #release(): Promise<void> {
    this.#heldOut = undefined;
    await this.#compiled?.release();
    this.#compiled = undefined;
  }
}
