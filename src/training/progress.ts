import { isDiverging } from "./divergence.js";
import type { LossAtStep, RunState } from "./run-state.js";

/** What a run remembers from step to step beside its model, its optimizer and its place in the data. */
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
  /** Wall time spent writing checkpoints. */
  savingSeconds: number;
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
    this.savingSeconds = state.savingSeconds;
    this.#secondsBefore = state.seconds;
  }

  static fresh(): Progress {
    const counts = { tokens: 0, badSteps: 0, skipped: 0, divergingEvals: 0, seconds: 0, savingSeconds: 0 };
    return new Progress(0, { ...counts, deltas: [], best: null, evaluated: null, lowestLoss: null });
  }

  static savedAt(step: number, state: RunState): Progress {
    return new Progress(step, state);
  }

  /** Wall time of training up to here. */
  get seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000;
  }

  /** Counts an update that was left out. */
  skip(): void {
    this.badSteps++;
    this.skipped++;
  }

  /**
   * Takes in an evaluation after the present step.
   * @param trainingLoss of the present step.
   * @param factor how many times its lowest the held-out loss may be; null for no limit.
   */
  evaluate(loss: number, trainingLoss: number, factor: number | null): void {
    const { lowestLoss, step } = this;
    this.divergingEvals = isDiverging(loss, trainingLoss, { lowest: lowestLoss, factor }) ? this.divergingEvals + 1 : 0;
    this.evaluated = Number.isFinite(loss) ? { loss, step } : null;
    if (Number.isFinite(loss) && !(loss >= (lowestLoss ?? Number.POSITIVE_INFINITY))) this.lowestLoss = loss;
  }

  /** Whether a checkpoint of the present step is the best one so far, which it then is. */
  markBest(): boolean {
    const { evaluated, best, step } = this;
    if (evaluated?.step !== step || (best !== null && evaluated.loss >= best.loss)) return false;
    this.best = evaluated;
    return true;
  }

  get state(): Pick<RunState, ProgressKey> {
    const { tokens, badSteps, skipped, deltas, best, evaluated, lowestLoss, divergingEvals } = this;
    const { seconds, savingSeconds } = this;
    const losses = { best, evaluated, lowestLoss, divergingEvals };
    return { tokens, badSteps, skipped, deltas: [...deltas], ...losses, seconds, savingSeconds };
  }
}

type ProgressKey =
  | ("tokens" | "badSteps" | "skipped" | "deltas" | "best" | "evaluated")
  | ("lowestLoss" | "divergingEvals" | "seconds" | "savingSeconds");
