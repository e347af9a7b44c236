import type { StartRecord, StepRecord } from "../../dist/runs/metrics.js";

// How fast runs went in this browser, by which the time of the next one is told before it starts.

const KEY = "highrank-speeds";

interface Speed {
  readonly model: string;
  readonly device: string;
  readonly parameters: number;
  /** Tokens computed a second, with padding. */
  readonly tokens: number;
}

/** Steps at the beginning of a run that say little: programs are compiled, memory is taken. */
const FIRST_STEPS = 3;

/** Listens to a run and remembers its speed. */
export class SpeedMeter {
  #start: StartRecord | undefined;
  #steps = 0;
  #mean = 0;

  begin(start: StartRecord): void {
    this.#start = start;
    this.#steps = this.#mean = 0;
  }

  step({ computedPerSecond, tokensPerSecond }: StepRecord): void {
    this.#steps++;
    if (this.#steps <= FIRST_STEPS) return;
    const count = Math.min(50, this.#steps - FIRST_STEPS);
    this.#mean += ((computedPerSecond ?? tokensPerSecond) - this.#mean) / count;
  }

  keep(): void {
    if (this.#start === undefined || this.#steps <= FIRST_STEPS) return;
    const { model, device, parameters } = this.#start;
    const others = speeds().filter((each) => each.model !== model || each.device !== device);
    const all = [{ model, device, parameters, tokens: this.#mean }, ...others].slice(0, 20);
    try {
      localStorage.setItem(KEY, JSON.stringify(all));
    } catch {
      // Only the estimate suffers.
    }
  }
}

/** Seconds that a run's steps take, and by what that is told; null where no run was measured on the device. */
export function secondsOf({ model, device, parameters, outline, maxSteps }: StartRecord) {
  if (outline === undefined) return null;
  const known = speeds().filter((each) => each.device === device);
  const distance = (each: Speed) => Math.abs(Math.log(each.parameters / parameters));
  const [nearest] = known.sort((a, b) => distance(a) - distance(b));
  if (nearest === undefined) return null;
  // The work of a token grows with the parameters.
  const tokensPerSecond = (nearest.tokens * nearest.parameters) / parameters;
  const tokens = maxSteps * outline.totalBatchSize * outline.rowLength;
  return { seconds: tokens / tokensPerSecond, by: nearest.model, isSame: nearest.model === model };
}

function speeds(): Speed[] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]") as Speed[];
  } catch {
    return [];
  }
}
