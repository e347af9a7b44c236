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
  readonly #secondsBefore: number;
  readonly #started: number = performance.now();

  private constructor(step: number, state: Pick<RunState, ProgressKey>) {
    this.step = step;
    this.tokens = state.tokens;
    this.badSteps = state.badSteps;
    this.deltas = [...state.deltas];
    this.best = state.best;
    this.evaluated = state.evaluated;
    this.#secondsBefore = state.seconds;
  }

  static fresh(): Progress {
    return new Progress(0, { tokens: 0, badSteps: 0, deltas: [], best: null, evaluated: null, seconds: 0 });
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
    const { tokens, badSteps, deltas, best, evaluated, seconds } = this;
    return { tokens, badSteps, deltas: [...deltas], best, evaluated, seconds };
  }
}

type ProgressKey = "tokens" | "badSteps" | "deltas" | "best" | "evaluated" | "seconds";
