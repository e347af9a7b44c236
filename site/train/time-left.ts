import { formatDuration } from "../../dist/base/numbers.js";
import type { StartRecord, StepRecord } from "../../dist/runs/metrics.js";
import { byId } from "./page.ts";

/** Steps by whose time the rest is told. */
const RECENT = 20;

/** The bar of steps and the time that is left, by the steps that were measured. */
export class TimeLeft {
  #steps = 0;
  /** When the last steps ended, in ms. */
  #ends: number[] = [];

  begin({ maxSteps, step }: StartRecord): void {
    this.#steps = maxSteps;
    this.#ends = [performance.now()];
    byId("progress").hidden = false;
    this.#show(step, "the first steps take longer: the programs are made");
  }

  step({ step }: StepRecord): void {
    this.#ends = [...this.#ends, performance.now()].slice(-RECENT);
    const [first, last] = [this.#ends[0]!, this.#ends.at(-1)!];
    const perStep = (last - first) / (this.#ends.length - 1) / 1000;
    this.#show(step, `about ${formatDuration(perStep * (this.#steps - step))} left, by the last steps`);
  }

  /** After a pause, whose time does not count. */
  goOn(): void {
    const waited = performance.now() - (this.#ends.at(-1) ?? 0);
    this.#ends = this.#ends.map((end) => end + waited);
  }

  end(): void {
    byId("progress").hidden = true;
  }

  #show(step: number, left: string): void {
    byId<HTMLProgressElement>("done").value = step / this.#steps;
    byId("left").textContent = `Step ${step} of ${this.#steps}, ${left}`;
  }
}
