import { baseName } from "#platform";
import { adapterParts, adaptersOf, adapterWeights, redrawDropout } from "../adapters/inject.js";
import { DeviceError } from "../base/errors.js";
import { formatRate } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import type { DataPosition } from "../data/cursor.js";
import { onAnyRank } from "../distributed/first.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import { memorySource } from "../loading/model-source.js";
import { clipCoefficient, globalNorm } from "../optim/clip.js";
import { discardGradient } from "../optim/gradient.js";
import { countScored } from "../programs/training-step.js";
import type { CompiledPhase } from "../relora/compiled-phase.js";
import type { Fullness, RestartingPart } from "../relora/cycle-losses.js";
import { truncateDeltas } from "../relora/delta-log.js";
import type { MasterWeights } from "../relora/master-weights.js";
import { endCycle, mergeIntoWeights } from "../relora/merging.js";
import { planStep, restartingPart, restartsWhenFull, type StepPlan } from "../relora/plan.js";
import { restart } from "../relora/restarts.js";
import { checkpointName, markBest, pruneCheckpoints } from "../runs/checkpoint.js";
import { divergenceMessage } from "../runs/divergence.js";
import { type Ending, endingOf } from "../runs/early-stop.js";
import type { StartRecord } from "../runs/metrics.js";
import type { Progress } from "../runs/progress.js";
import { type LossAtStep, logsLastCycle } from "../runs/run-state.js";
import { keepsLastCycle, type SavedRun } from "../runs/saved-run.js";
import { adapterBytes, checkpointBytes, saveCheckpoint } from "../runs/saving.js";
import { Rng } from "../tensor/random.js";
import { requireSameWeights } from "./agreement.js";
import { beginRun, type ReadyRun, releasedOnFailure, restoreRun } from "./begin.js";
import { type EndedRun, failRun, finishRun, stopRun, type TrainResult } from "./ending.js";
import { isOutOfMemory } from "./memory-limit.js";
import { adapterPhase, type Quantized, quantizeFrozen, saveRunBase } from "./phases.js";
import type { PreparedRun } from "./prepare.js";
import type { RunOutput } from "./run-output.js";
import { answerHeldOut, writeSample } from "./samples.js";
import { faultOf, nonFiniteTensor } from "./soundness.js";
import { adapterGradientFault } from "./startup-checks.js";

/** One update. */
interface Update {
  readonly loss: number;
  /** Scored tokens that it is the mean of. */
  readonly tokens: number;
  /** The reason why it was left out; null where it was made. */
  readonly skipped: string | null;
}

/** Time after which a run that waits asks again whether it may go on. */
const PAUSE_MS = 50;
/** A loss that is so many times that before the first update is no matter of the batch. */
const RUINED = 1.5;

/** The training loop: does what the plan of each step says, and records it. */
export class Trainer {
  readonly #run: PreparedRun;
  readonly #output: RunOutput;
  readonly #progress: Progress;
  readonly #master: MasterWeights;
  #phase: CompiledPhase;
  #base: BaseIdentity;
  #checkpoint: string | null;
  /** Loss of the batch of the adapters' first update. */
  #firstLoss: number = Number.NaN;
  /** Counted when the first adapters are asked whether they are full; all have as many weights. */
  #restarting: RestartingPart | undefined;

  private constructor(run: PreparedRun, output: RunOutput, ready: ReadyRun) {
    this.#run = run;
    this.#output = output;
    this.#progress = ready.progress;
    this.#master = ready.master;
    this.#phase = ready.phase;
    this.#base = ready.base;
    this.#checkpoint = ready.checkpoint;
  }

  /**
   * A run before its first step, evaluated. Its folder is made when the step is compiled.
   * @throws NumericError when the model's loss is not finite.
   */
  static async begin(run: PreparedRun, output: RunOutput, start: StartRecord): Promise<Trainer> {
    output.hooks.onRecord(start);
    const { quantized, ...ready } = await beginRun(run, output.folder, start);
    const trainer = new Trainer(run, output, ready);
    return releasedOnFailure(ready.phase, async () => {
      if (quantized !== null) await trainer.#recordQuantization(quantized, null);
      if (!run.settings.evalMilestones) return trainer;
      const loss = await trainer.#evaluate(Number.NaN);
      if (!Number.isFinite(loss)) {
        const { model } = run.settings;
        await failRun(
          trainer.#asEnded(),
          `the held-out loss is ${loss} before the first step; check the weights of ${model}`,
        );
      }
      return trainer;
    });
  }

  /** A run that goes on from a checkpoint. */
  static async resume(run: PreparedRun, output: RunOutput, start: StartRecord, saved: SavedRun): Promise<Trainer> {
    output.hooks.onRecord(start);
    const ready = await restoreRun(run, output.folder, start, saved);
    const trainer = new Trainer(run, output, ready);
    return releasedOnFailure(ready.phase, async () => {
      const { step } = ready.progress;
      if (saved.reopened !== undefined) {
        await trainer.#save(trainer.#planOf(step));
        await output.folder.share((path) => truncateDeltas(path, ready.progress.deltas.length));
      } else if (step === saved.state.maxSteps) {
        // A run that is made longer has not done what its last step had left out.
        const isLonger = step < run.settings.maxSteps;
        if (isLonger && keepsLastCycle(saved)) await mergeIntoWeights(run, ready.phase, { step });
        await trainer.#recordReset(await restart(run, ready.phase, trainer.#planOf(step)));
      }
      return trainer;
    });
  }

  /**
   * Trains to the end, until the held-out loss falls no more, or until asked to stop.
   * @throws NumericError when too many updates in a row were skipped, when what is trained is no longer finite, when
   * the held-out loss says that training undoes what was learned, and when adapters get no gradient.
   */
  async run(): Promise<TrainResult> {
    try {
      const ending = await this.#train().finally(() => this.#phase.release());
      return await (ending === "stopped" ? stopRun(this.#asEnded()) : finishRun(this.#asEnded(), ending));
    } finally {
      await this.#master.release();
    }
  }

  async #train(): Promise<Ending | "stopped"> {
    const progress = this.#progress;
    const { maxSteps, evalEvery, evalMilestones, saveEvery, loadBest } = this.#settings;
    const { untilStep, stopRequested, steps } = this.#output.hooks;
    const { ranks } = this.#run;
    let ending = this.#ending;
    while (ending === null) {
      if (await onAnyRank(ranks, steps.mustWait)) {
        const isAsked = await this.#pause();
        // A run that has not begun saves the state after its first step.
        if (isAsked && progress.step > 0) return "stopped";
      }
      steps.take();
      const planned = this.#planOf(progress.step + 1);
      if (planned.addAdapters && progress.step > 0) await this.#switchToAdapters();
      const update = await this.#update(planned);
      const fullness = this.#lookForFullness(planned, update);
      const plan = fullness === null ? planned : this.#planOf(progress.step);
      if (plan.merge) await this.#endCycle(plan, fullness);

      const { step } = progress;
      const last = step === maxSteps;
      const switches = !last && this.#planOf(step + 1).addAdapters;
      const due = (every: number | null): boolean => last || (every !== null && step % every === 0);
      if (due(evalEvery) || (switches && evalMilestones)) await this.#evaluate(update.loss);
      await this.#stopIfDiverged(plan, update);

      ending = this.#ending;
      const isAsked = await onAnyRank(ranks, stopRequested());
      const stops = ending === null && (step === untilStep || isAsked);
      if (due(saveEvery) || ending !== null || stops || (loadBest && progress.isBest)) {
        await this.#requireSound();
        await this.#save(plan);
      }
      if (stops) return "stopped";
    }
    return ending;
  }

  /** Saves the state and waits until the next step may begin. @returns true if the run was asked to end instead. */
  async #pause(): Promise<boolean> {
    const { stopRequested, steps, onPause } = this.#output.hooks;
    const { ranks } = this.#run;
    const { step } = this.#progress;
    const isSaved = this.#checkpoint !== null && baseName(this.#checkpoint) === checkpointName(step);
    if (step > 0 && !isSaved) {
      await this.#requireSound();
      await this.#save(this.#planOf(step));
    }
    onPause({ step, checkpoint: this.#checkpoint });
    const started = performance.now();
    let isAsked = false;
    while (!isAsked && (await onAnyRank(ranks, steps.mustWait))) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      isAsked = await onAnyRank(ranks, stopRequested());
    }
    this.#progress.pausedSeconds += (performance.now() - started) / 1000;
    return isAsked;
  }

  get #settings(): Settings {
    return this.#run.settings;
  }

  #planOf(step: number): StepPlan {
    const { stretches, restarts } = this.#progress;
    return planStep(step, { ...this.#settings, stretches, restarts });
  }

  /** Plans a restart after the present step where its loss says that the adapters are full. @returns what says so. */
  #lookForFullness({ step, phase }: StepPlan, { loss, tokens, skipped }: Update): Fullness | null {
    const { restarts, cycleLosses } = this.#progress;
    const { maxSteps } = this.#settings;
    if (!restartsWhenFull(this.#settings) || phase !== "adapter" || skipped !== null) return null;
    cycleLosses.add(loss, tokens);
    this.#restarting ??= restartingPart(this.#settings, adapterWeights(this.#run.model));
    const part = this.#restarting;
    const fullness = cycleLosses.fullness(maxSteps - step, part);
    if (fullness === null) return null;
    restarts.push(step);
    cycleLosses.restart(part.weights);
    return fullness;
  }

  get #ending(): Ending | null {
    return endingOf(this.#progress.step, this.#progress, this.#settings);
  }

  async #update({ step, phase, cycle, lrMultiplier }: StepPlan): Promise<Update> {
    const { model, cursor, ranks } = this.#run;
    const { lr, adapterLr, seed, batchSize, totalBatchSize, clipGradNorm } = this.#settings;
    const started = performance.now();
    const progress = this.#progress;
    progress.step = step;
    const { position } = cursor;
    const batches = cursor.take(totalBatchSize / batchSize);
    const tokens = countScored(batches);
    let computed = 0;
    const redraw = (i: number, rows: number): void => {
      redrawDropout(model, new Rng(seed, `dropout/${i}`, step), rows);
      computed += rows;
    };
    const { loss, gradients } = await this.#phase.step.runAll(batches, redraw).catch(async (error) => {
      // Nothing has changed yet. If the state cannot be saved either, the first error is the one to tell. A rank whose
      // memory is out, or whose GPU is gone, cannot save by itself.
      const isOfDevice = isOutOfMemory(error) || error instanceof DeviceError;
      if (isOfDevice && ranks.size === 1) await this.#saveBefore(step, position).catch(() => {});
      throw error;
    });
    const gradNorm = globalNorm(gradients.values());
    if (!Number.isFinite(loss)) return this.#skip({ loss, tokens }, `the loss is ${loss}`);
    if (!Number.isFinite(gradNorm)) return this.#skip({ loss, tokens }, `the gradient's norm is ${gradNorm}`);
    progress.badSteps = 0;
    if (phase === "adapter" && cycle === 1) {
      const { updates: before } = this.#phase;
      const fault = adapterGradientFault({ parts: adapterParts(model), gradients, before });
      if (before === 0) this.#firstLoss = loss;
      // Where the first update has ruined the model, no gradient is left for the second.
      else if (fault !== null && loss > RUINED * this.#firstLoss) {
        await this.#diverge(
          `the first update took the loss from ${this.#firstLoss} to ${loss} and left no gradient, ` +
            `so the learning rate of ${formatRate(adapterLr)} is far too high`,
        );
      }
      if (fault !== null) await failRun(this.#asEnded(), fault);
    }
    this.#phase.update(gradients, { lrMultiplier, gradientScale: clipCoefficient(gradNorm, clipGradNorm) });
    for (const gradient of gradients.values()) discardGradient(gradient);
    progress.tokens += tokens;
    const seconds = (performance.now() - started) / 1000;
    const learningRate = (phase === "adapter" ? adapterLr : lr) * lrMultiplier;
    const learningRates = this.#phase.optimizer.learningRates(lrMultiplier);
    await this.#output.record({
      kind: "step",
      step,
      tokens: progress.tokens,
      loss,
      learningRate,
      ...(Object.values(learningRates).some((rate) => rate !== learningRate) && { learningRates }),
      gradNorm,
      tokensPerSecond: tokens / seconds,
      computedPerSecond: (computed * ranks.size) / seconds,
      seconds: progress.seconds,
      cycle,
      phase,
    });
    return { loss, tokens, skipped: null };
  }

  /** Saves the state that a step was to go on from. */
  async #saveBefore(step: number, position: DataPosition): Promise<void> {
    this.#progress.step = step - 1;
    this.#run.cursor.seek(position);
    // Before the first step of a phase, what is trained is not that of the step before.
    if (step === 1 || this.#planOf(step).addAdapters) return;
    // A device that is gone computes no loss, and what is trained is finite then.
    const fault = await faultOf(this.#phase).catch(() => null);
    if (fault === null) await this.#save(this.#planOf(step - 1));
  }

  async #skip(update: Omit<Update, "skipped">, reason: string): Promise<Update> {
    const progress = this.#progress;
    progress.skip();
    const { step, badSteps, skipped } = progress;
    await this.#output.record({ kind: "skip", step, reason, inARow: badSteps, skipped });
    // No later batch would heal these.
    const tensor = nonFiniteTensor(this.#phase.trained, this.#phase.optimizer);
    if (tensor !== null) await this.#diverge(`${tensor} is no longer finite`);
    return { ...update, skipped: reason };
  }

  /** @param fullness why the cycle ends; null where that was planned. */
  async #endCycle(plan: StepPlan, fullness: Fullness | null): Promise<void> {
    await this.#requireSound();
    const bytes = adapterBytes(this.#run.model);
    await this.#output.folder.write(() => this.#output.waitForSpace(bytes, "the update of this cycle"));
    const isLast = plan.step === this.#settings.maxSteps;
    const keepsTrained = isLast && logsLastCycle(this.#run.quantizer, this.#progress);
    const ended = await endCycle(this.#run, this.#phase, plan, this.#master, {
      keepsTrained,
      // Restarts that nobody planned are too many to evaluate twice each.
      measures: fullness === null,
    });
    const { sha256, report, zeroedFraction } = ended;
    this.#progress.deltas.push(sha256);
    await requireSameWeights(this.#run, this.#phase, plan);
    await this.#output.record({ kind: "merge", ...report, ...(fullness !== null && { fullness }) });
    await this.#recordReset(zeroedFraction);
  }

  /** Ends the warm start: the phase of the adapters takes the place of the present one. */
  async #switchToAdapters(): Promise<void> {
    await this.#requireSound();
    const { model, source } = this.#run;
    const { step, evaluated } = this.#progress;
    const warm = memorySource(model, source.config);
    await this.#phase.release();
    this.#base = await this.#output.folder.share((path) => saveRunBase(path, this.#run, warm));
    const quantized = await quantizeFrozen(this.#run, warm);
    this.#phase = await adapterPhase(this.#run, warm, this.#master, step, this.#phase.optimizer.state);
    if (quantized !== null) await this.#recordQuantization(quantized, evaluated?.loss ?? null);
  }

  /** @param trainingLoss of the step before. @returns the held-out loss. */
  async #evaluate(trainingLoss: number): Promise<number> {
    const { step } = this.#progress;
    const { loss, perplexity, tokens, standardError } = await this.#phase.evaluate();
    // A model whose numbers are no good writes nothing.
    const writes = this.#run.ranks.rank === 0 && Number.isFinite(loss);
    const sample = await writeSample(this.#run, writes ? this.#phase.generator : null, step);
    const samples = writes ? await answerHeldOut(this.#run) : [];
    const isWarmStart = this.#planOf(Math.max(1, step)).phase === "warm-start";
    this.#progress.evaluate(loss, trainingLoss, this.#settings, !isWarmStart);
    const { seconds } = this.#progress;
    await this.#output.record({
      ...{ kind: "eval", step, loss, perplexity, tokens, sample, seconds },
      ...(standardError !== null && { standardError }),
      ...(samples.length > 0 && { samples }),
    });
    await this.#output.folder.writeReport();
    return loss;
  }

  async #save({ step, phase, cycle }: StepPlan): Promise<void> {
    const { model, cursor, dataSha256, heldOutSha256, readingRules } = this.#run;
    const { seed, maxSteps, keepCheckpoints } = this.#settings;
    const base = this.#base;
    const progress = this.#progress;
    const started = progress.seconds;
    await requireSameWeights(this.#run, this.#phase, { step, merge: false });
    const best = progress.markBest();
    const records = await this.#output.folder.syncRecords();
    const dataPosition = { ...cursor.position };
    const state = {
      ...progress.state,
      phase,
      cycle,
      maxSteps,
      dataPosition,
      dataSha256,
      heldOutSha256,
      readingRules,
      seed,
      base,
      records,
    };
    const { trained: parameters, optimizer } = this.#phase;
    const parts = { parameters, optimizer, adapters: adaptersOf(model), state };
    this.#checkpoint = await this.#output.folder.write(async (path) => {
      await this.#output.waitForSpace(checkpointBytes(parts), `checkpoint ${step}`);
      const folder = await saveCheckpoint(path, step, parts);
      if (best) await markBest(path, step);
      if (keepCheckpoints !== null) {
        for (const file of (await pruneCheckpoints(path, keepCheckpoints)).others) {
          this.#output.noteOnce(`${file} is not of the run: its checkpoint stays until you move it elsewhere.`);
        }
      }
      return folder;
    });
    progress.savingSeconds += progress.seconds - started;
  }

  /** Ends the run before a state is saved or merged that it could not go on from. */
  async #requireSound(): Promise<void> {
    const fault = await faultOf(this.#phase);
    if (fault !== null) await this.#diverge(fault);
  }

  /** Ends the run if its numbers say that it should not go on, after it has saved a state that is sound. */
  async #stopIfDiverged(plan: StepPlan, { skipped }: Update): Promise<void> {
    const { maxBadSteps, divergenceFactor, divergenceEvals } = this.#settings;
    const progress = this.#progress;
    const { badSteps, divergingEvals, lowestLoss } = progress;
    const tooHigh = divergingEvals >= divergenceEvals;
    if (badSteps <= maxBadSteps && !tooHigh) return;
    // Whoever goes on from here has decided to, and gets the whole allowance.
    progress.badSteps = 0;
    progress.divergingEvals = 0;
    // A first checkpoint would be the best.
    if ((progress.best !== null || !tooHigh) && (await faultOf(this.#phase)) === null) await this.#save(plan);
    if (!tooHigh) await this.#diverge(`${badSteps} updates in a row were skipped, at last because ${skipped}`);
    const { loss } = await this.#phase.evaluate();
    const reason =
      `the held-out loss is ${loss}, above ${divergenceFactor} times its lowest, ${lowestLoss}, ` +
      `in evaluation ${divergingEvals} in a row`;
    await this.#diverge(reason, progress.best); // What was saved just now may be the best so far.
  }

  /** @param best the checkpoint to go on from; null for the last one. */
  #diverge(reason: string, best: LossAtStep | null = null): Promise<never> {
    const { step } = this.#progress;
    const { path: folder } = this.#output.folder;
    const message = divergenceMessage({ folder, step, reason, settings: this.#settings, best, last: this.#checkpoint });
    return failRun(this.#asEnded(), message);
  }

  #asEnded(): EndedRun {
    return {
      run: this.#run,
      output: this.#output,
      progress: this.#progress,
      master: this.#master,
      base: this.#base,
      checkpoint: this.#checkpoint,
    };
  }

  async #recordQuantization({ quantizer, ...error }: Quantized, lossBefore: number | null): Promise<void> {
    const { step } = this.#progress;
    const { evalMilestones } = this.#settings;
    const lossAfter = evalMilestones ? (await this.#phase.evaluate()).loss : Number.NaN;
    await this.#output.record({ kind: "quantize", step, quantizer, lossBefore, lossAfter, ...error });
  }

  async #recordReset(zeroedFraction: number | null): Promise<void> {
    if (zeroedFraction === null) return;
    await this.#output.record({ kind: "reset", step: this.#progress.step, zeroedFraction });
  }
}
