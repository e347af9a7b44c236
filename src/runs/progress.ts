import type { Settings } from "../config/settings.js";
import { CycleLosses } from "../relora/cycle-losses.js";
import { isDiverging } from "./divergence.js";
import type { LossAtStep, RunState } from "./run-state.js";

/** The memory of a run from step to step, beside its model, its optimizer and its place in the data. */
export class Progress {
  /** Completed optimizer steps. */
  step: number;
  tokens: number;
  badSteps: number;
  skipped: number;
  /** SHA-256 of each logged cycle. */
  readonly deltas: string[];
  best: LossAtStep | null;
  evaluated: LossAtStep | null;
  lowestLoss: number | null;
  divergingEvals: number;
  toBeat: number | null;
  waited: number;
  readonly lastMerge: RunState["lastMerge"];
  readonly stretches: RunState["stretches"];
  /** Steps after which adapters restarted because they were full. */
  readonly restarts: number[];
  /** The losses since the last restart, where they say whether the adapters are full. */
  readonly cycleLosses: CycleLosses;
  /** Wall time spent writing checkpoints. */
  savingSeconds: number;
  /** Wall time since the start in which the run was paused, which is no time of training. */
  pausedSeconds = 0;
  readonly #secondsBefore: number;
  readonly #started: number = performance.now();

  private constructor(step: number, state: Pick<RunState, ProgressKey>) {
    this.step = step;
    this.tokens = state.tokens;
    this.badSteps = state.badSteps;
    this.skipped = state.skipped;
    this.deltas = [...state.deltas];
    this.best = state.best;
    this.evaluated = state.evaluated;
    this.lowestLoss = state.lowestLoss;
    this.divergingEvals = state.divergingEvals;
    this.toBeat = state.toBeat;
    this.waited = state.waited;
    this.savingSeconds = state.savingSeconds;
    this.lastMerge = state.lastMerge;
    this.stretches = state.stretches;
    this.restarts = [...state.restarts];
    this.cycleLosses = new CycleLosses(state.cycleLosses);
    this.#secondsBefore = state.seconds;
  }

  /** @param lastMerge as in the state of a checkpoint. */
  static fresh(lastMerge: RunState["lastMerge"]): Progress {
    const counts = { tokens: 0, badSteps: 0, skipped: 0, divergingEvals: 0, waited: 0, seconds: 0, savingSeconds: 0 };
    const losses = { best: null, evaluated: null, lowestLoss: null, toBeat: null };
    return new Progress(0, {
      ...counts,
      ...losses,
      deltas: [],
      lastMerge,
      stretches: [],
      restarts: [],
      cycleLosses: null,
    });
  }

  static savedAt(step: number, state: RunState): Progress {
    return new Progress(step, state);
  }

  /** Wall time of training up to here. */
  get seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000 - this.pausedSeconds;
  }

  /** Counts an update that was left out. */
  skip(): void {
    this.badSteps++;
    this.skipped++;
  }

  /**
   * Takes in an evaluation after the present step.
   * @param trainingLoss of the present step.
   * @param counts true if patience runs.
   */
  evaluate(
    loss: number,
    trainingLoss: number,
    { divergenceFactor: factor, minImprovement }: Pick<Settings, "divergenceFactor" | "minImprovement">,
    counts: boolean,
  ): void {
    const { lowestLoss, toBeat, step } = this;
    this.divergingEvals = isDiverging(loss, trainingLoss, { lowest: lowestLoss, factor }) ? this.divergingEvals + 1 : 0;
    this.evaluated = Number.isFinite(loss) ? { loss, step } : null;
    if (Number.isFinite(loss) && !(loss >= (lowestLoss ?? Number.POSITIVE_INFINITY))) this.lowestLoss = loss;
    if (!counts) return;
    if (loss < (toBeat ?? Number.POSITIVE_INFINITY)) [this.toBeat, this.waited] = [loss - minImprovement, 0];
    else this.waited++;
  }

  /** True if a checkpoint of the present step is the best one so far. */
  get isBest(): boolean {
    const { evaluated, best, step } = this;
    return evaluated?.step === step && (best === null || evaluated.loss < best.loss);
  }

  /** Notes a checkpoint of the present step that is about to be saved. Returns true if it is the best one so far. */
  markBest(): boolean {
    const { isBest } = this;
    if (isBest) this.best = this.evaluated;
    return isBest;
  }

  get state(): Pick<RunState, ProgressKey> {
    const { tokens, badSteps, skipped, deltas, best, evaluated, lowestLoss, divergingEvals, toBeat, waited } = this;
    const { seconds, savingSeconds, lastMerge, stretches } = this;
    const plan = { stretches, restarts: [...this.restarts], cycleLosses: this.cycleLosses.state };
    const losses = { best, evaluated, lowestLoss, divergingEvals, toBeat, waited };
    return { tokens, badSteps, skipped, deltas: [...deltas], ...losses, seconds, savingSeconds, lastMerge, ...plan };
  }
}

type ProgressKey =
  | ("tokens" | "badSteps" | "skipped" | "deltas" | "best" | "evaluated")
  | ("lowestLoss" | "divergingEvals" | "toBeat" | "waited" | "seconds" | "savingSeconds" | "lastMerge")
  | ("stretches" | "restarts" | "cycleLosses");
