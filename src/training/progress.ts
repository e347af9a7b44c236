import type { LossAtStep, RunState } from "./run-state.js";

/** What a run remembers from step to step beside its model, its optimizer and its place in the data. */
export class Progress {
  /** Completed optimizer steps. */
  step: number;
  tokens: number;
  badSteps: number;
  /** SHA-256 of each logged cycle. */
  readonly deltas: string[];
  best: LossAtStep | null;
  evaluated: LossAtStep | null;
  /** Wall time spent writing checkpoints. */
  savingSeconds: number;
  readonly #secondsBefore: number;
  readonly #started: number = performance.now();

  private constructor(step: number, state: Pick<RunState, ProgressKey>) {
    this.step = step;
    this.tokens = state.tokens;
    this.badSteps = state.badSteps;
    this.deltas = [...state.deltas];
    this.best = state.best;
    this.evaluated = state.evaluated;
    this.savingSeconds = state.savingSeconds;
    this.#secondsBefore = state.seconds;
  }

  static fresh(): Progress {
    const counts = { tokens: 0, badSteps: 0, seconds: 0, savingSeconds: 0 };
    return new Progress(0, { ...counts, deltas: [], best: null, evaluated: null });
  }

  static savedAt(step: number, state: RunState): Progress {
    return new Progress(step, state);
  }

  /** Wall time of training up to here. */
  get seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000;
  }

  /** Takes in an evaluation after the present step. */
  evaluate(loss: number): void {
    this.evaluated = Number.isFinite(loss) ? { loss, step: this.step } : null;
  }

  /** Whether a checkpoint of the present step is the best one so far, which it then is. */
  markBest(): boolean {
    const { evaluated, best, step } = this;
    if (evaluated?.step !== step || (best !== null && evaluated.loss >= best.loss)) return false;
    this.best = evaluated;
    return true;
  }

  get state(): Pick<RunState, ProgressKey> {
    const { tokens, badSteps, deltas, best, evaluated, seconds, savingSeconds } = this;
    return { tokens, badSteps, deltas: [...deltas], best, evaluated, seconds, savingSeconds };
  }
}

type ProgressKey = "tokens" | "badSteps" | "deltas" | "best" | "evaluated" | "seconds" | "savingSeconds";
