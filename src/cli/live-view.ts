import { forCommandLine } from "../base/naming.js";
import type { EvalRecord, MetricsRecord, StartRecord, StepRecord } from "../runs/metrics.js";
import {
  endLine,
  evalLines,
  headerLines,
  mergeLines,
  phaseLine,
  quantizeLines,
  resetLine,
  skipLine,
  stepLine,
  timeLine,
} from "./live-lines.js";
import type { Outlet } from "./outlet.js";
import { PLAIN_INTERVAL_MS } from "./progress-line.js";
import { type Environment, ERASE_LINE, isInteractive, type Style, singleLine, styleFor } from "./terminal.js";

const REDRAW_MS = 100;
/** Time left is extrapolated from this many steps, so that evaluations count but an early phase is soon forgotten. */
const RATE_WINDOW = 50;
/** Steps of this process after which the time of the whole run is told. */
const FIRST_STEPS = 3;

/** Options of {@link LiveView}; the clock, in milliseconds, can be replaced in tests. */
export interface LiveViewOptions {
  readonly env?: Environment;
  readonly now?: () => number;
}

/**
 * Shows a run's records as they come. On an interactive terminal the last line is redrawn with each step; elsewhere
 * a step is printed every ten seconds, as a plain line.
 */
export class LiveView {
  readonly #outlet: Outlet;
  readonly #interactive: boolean;
  readonly #style: Style;
  readonly #now: () => number;
  readonly #times: { step: number; at: number }[] = [];
  #start: StartRecord | undefined;
  #lastStep: StepRecord | undefined;
  #lastEval: EvalRecord | undefined;
  #skipped = 0;
  #shownStep: number | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(outlet: Outlet, { env = {}, now = () => performance.now() }: LiveViewOptions = {}) {
    this.#outlet = outlet;
    this.#interactive = isInteractive(outlet, env);
    this.#style = styleFor(outlet, env);
    this.#now = now;
  }

  show(record: MetricsRecord): void {
    switch (record.kind) {
      case "start":
        this.#start = record;
        this.#times.push({ step: record.step, at: this.#now() });
        this.#print([...headerLines(record, this.#columns(), this.#style), ""]);
        break;
      case "step":
        this.#step(record);
        break;
      case "eval":
        this.#settle();
        this.#print(evalLines(record, this.#lastEval, this.#columns(), this.#style));
        this.#lastEval = record;
        break;
      case "quantize":
        this.#print(quantizeLines(record, this.#columns(), this.#style));
        break;
      case "merge":
        this.#settle();
        this.#print(mergeLines(record, this.#columns(), this.#style));
        break;
      case "reset":
        this.#print([resetLine(record, this.#style)]);
        break;
      case "skip":
        this.#skipped = record.skipped;
        this.#print([skipLine(record, this.#style)]);
        break;
      case "end":
        this.#settle();
        this.#lastStep = undefined;
        this.#print([endLine(record, this.#style)]);
        break;
    }
  }

  /** Says what happens before the first record; on a terminal the next line replaces it. */
  wait(line: string): void {
    const text = `${singleLine(line)} …`;
    this.#outlet.write(this.#interactive ? this.#style.dim(text) : `${text}\n`);
    this.#drawn = this.#interactive;
  }

  /** Removes the line that is redrawn, so that other text can follow. */
  clear(): void {
    if (this.#drawn) this.#outlet.write(ERASE_LINE);
    this.#drawn = false;
  }

  /** Prints a line of the caller's own above the live line. */
  note(line: string): void {
    this.#print([forCommandLine(line)]);
  }

  #step(record: StepRecord): void {
    if (record.phase !== this.#lastStep?.phase) this.#print([phaseLine(record.phase, this.#style)]);
    this.#lastStep = record;
    this.#times.push({ step: record.step, at: this.#now() });
    this.#tellTime();
    if (this.#times.length > RATE_WINDOW) this.#times.shift();
    const interval = this.#interactive ? REDRAW_MS : PLAIN_INTERVAL_MS;
    if (this.#now() - this.#shownAt >= interval) this.#draw();
  }

  /** Says once, after the first steps, how long the others will take. */
  #tellTime(): void {
    if (this.#times.length !== FIRST_STEPS + 1) return;
    const { maxSteps } = this.#start ?? { maxSteps: 0 };
    // The first step comes after compiling and an evaluation.
    const [first, last] = [this.#times[1]!, this.#times.at(-1)!];
    const left = maxSteps - last.step;
    const seconds = ((last.at - first.at) / 1000 / (last.step - first.step)) * left;
    if (left > 0) this.#print([timeLine(seconds, left, this.#style)]);
  }

  /** Without a live line, the step that an evaluation or merge follows is worth a line of its own. */
  #settle(): void {
    if (!this.#interactive && this.#lastStep !== undefined && this.#shownStep !== this.#lastStep.step) this.#draw();
  }

  #draw(): void {
    const record = this.#lastStep;
    if (record === undefined) return;
    this.#shownAt = this.#now();
    this.#shownStep = record.step;
    const maxSteps = this.#start?.maxSteps ?? record.step;
    // A terminal wraps when its last column is written, so that one stays free.
    const columns = this.#interactive ? this.#columns() - 1 : this.#columns();
    const options = { maxSteps, secondsLeft: this.#secondsLeft(maxSteps), skipped: this.#skipped, columns };
    const line = stepLine(record, options, this.#style);
    if (this.#interactive) {
      this.#outlet.write(ERASE_LINE + line);
      this.#drawn = true;
    } else {
      this.#outlet.write(`${line}\n`);
    }
  }

  #print(lines: readonly string[]): void {
    this.clear();
    this.#outlet.print(lines);
    if (this.#interactive) this.#draw();
  }

  #secondsLeft(maxSteps: number): number | undefined {
    const first = this.#times[0];
    const last = this.#times.at(-1);
    if (first === undefined || last === undefined || last.step === first.step) return undefined;
    return ((last.at - first.at) / 1000 / (last.step - first.step)) * (maxSteps - last.step);
  }

  #columns(): number {
    return this.#outlet.columns;
  }
}
