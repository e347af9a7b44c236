import type { Outlet } from "./outlet.js";
import { type Environment, ERASE_LINE, isInteractive } from "./terminal.js";

/** Milliseconds between lines where none is redrawn. */
export const PLAIN_INTERVAL_MS = 10_000;

/** A line on an interactive terminal that is redrawn; elsewhere a new line every ten seconds. */
export class ProgressLine {
  readonly #outlet: Outlet;
  readonly #isInteractive: boolean;
  #shownAt: number;
  #isDrawn = false;

  /** @param shownAt milliseconds of a clock from which on the first ten seconds count. Default: it is shown at once. */
  constructor(outlet: Outlet, env: Environment, shownAt = Number.NEGATIVE_INFINITY) {
    this.#outlet = outlet;
    this.#isInteractive = isInteractive(outlet, env);
    this.#shownAt = shownAt;
  }

  /** Shows the line that fits so many columns, if it is time. @param now milliseconds of the same clock. */
  show(now: number, line: (columns: number) => string): void {
    if (!this.#isInteractive && now - this.#shownAt < PLAIN_INTERVAL_MS) return;
    this.#shownAt = now;
    // A terminal wraps when its last column is written, so that one stays free.
    const text = line(this.#outlet.columns - 1);
    this.#outlet.write(this.#isInteractive ? ERASE_LINE + text : `${text}\n`);
    this.#isDrawn = this.#isInteractive;
  }

  /** Removes the line that is redrawn, so that other text can follow. */
  clear(): void {
    if (this.#isDrawn) this.#outlet.write(ERASE_LINE);
    this.#isDrawn = false;
  }
}
