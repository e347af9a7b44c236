/** A command that a program gives a run between its steps. */
export type PaceCommand = "pause" | "step" | "goOn";

/** A run that waits between two steps. */
export interface Pause {
  /** Completed optimizer steps. */
  readonly step: number;
  /** The folder of a checkpoint of that step; null before the first. */
  readonly checkpoint: string | null;
}

/**
 * The pace of a run, in the hands of the program that starts it: `train(settings, { pace })`. What it is told before
 * the run begins counts too. A pause changes nothing in what the run learns, and its time does not count.
 */
export class Pace {
  readonly #listeners = new Set<(command: PaceCommand) => void>();
  #steps: number | null;

  /** @param steps as `steps` of another one. */
  constructor(steps: number | null = null) {
    this.#steps = steps;
  }

  /** True from `pause` or `step` until `goOn`, also while the step under way ends. */
  get isPaused(): boolean {
    return this.#steps !== null;
  }

  /** The steps that it was told to make since the last pause; null where it goes on. */
  get steps(): number | null {
    return this.#steps;
  }

  /** Lets the run wait after the step under way. */
  pause(): void {
    this.#tell("pause");
  }

  /** Lets the run make one more step, and wait then. */
  step(): void {
    this.#tell("step");
  }

  goOn(): void {
    this.#tell("goOn");
  }

  /** Calls the listener with each command from now on. Returns a function that ends this. */
  onCommand(listener: (command: PaceCommand) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(command: PaceCommand): void {
    this.#steps = after(command, this.#steps);
    for (const listener of this.#listeners) listener(command);
  }
}

/** The steps that may begin after a command; null for all. */
function after(command: PaceCommand, steps: number | null): number | null {
  if (command === "goOn") return null;
  return command === "pause" ? 0 : 1 + (steps ?? 0);
}

/** The steps that a run may still make by its pace. */
export class PacedSteps {
  readonly #leave: () => void;
  #left: number | null;

  constructor(pace: Pace) {
    this.#left = pace.steps;
    this.#leave = pace.onCommand((command) => {
      this.#left = after(command, this.#left);
    });
  }

  /** True if no step may begin now. */
  get mustWait(): boolean {
    return this.#left === 0;
  }

  /** Counts a step that begins. */
  take(): void {
    if (this.#left !== null) this.#left = Math.max(0, this.#left - 1);
  }

  /** Hears no more of the pace. */
  release(): void {
    this.#leave();
  }
}
