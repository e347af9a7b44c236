import { formatShare } from "../../dist/base/numbers.js";
import type { StepRecord } from "../../dist/runs/metrics.js";

/** Share of the speed below which a hidden tab was slowed. */
const SLOWED = 0.7;
/** Steps that a comparison needs on either side. */
const ENOUGH = 5;

/** Compares the speed of steps while the tab is hidden with that while it is seen. */
export class PaceOfTab {
  #seen: number[] = [];
  #hidden: number[] = [];

  constructor(say: (text: string) => void) {
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") return;
      const [seen, hidden] = [median(this.#seen), median(this.#hidden)];
      if (this.#hidden.length >= ENOUGH && this.#seen.length >= ENOUGH && hidden < SLOWED * seen) {
        const share = formatShare(hidden / seen);
        say(`While this tab was hidden, the browser gave it less: ${share} of its speed. Keep it in view to train.`);
      }
      this.#hidden = [];
    });
  }

  step({ tokensPerSecond }: StepRecord): void {
    const isHidden = document.visibilityState === "hidden";
    const list = isHidden ? this.#hidden : this.#seen;
    list.push(tokensPerSecond);
    if (list.length > 50) list.shift();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
