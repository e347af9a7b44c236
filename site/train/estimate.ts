import { formatBytes, formatCount, formatDuration, sum } from "../../dist/base/numbers.js";
import type { TrainSettings } from "../../dist/config/train-settings.js";
import type { StartRecord } from "../../dist/runs/metrics.js";
import { secondsOf } from "./pace-memory.ts";
import { byId, element, fill, onClick, wordsOf } from "./page.ts";

/** Time without a change after which the estimate is made anew, in ms. */
const CALM_MS = 900;

/** What a run will take, found by preparing it in a worker without a step. */
export class Estimate {
  readonly #settingsOf: () => Promise<TrainSettings>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;
  #work: Promise<void> = Promise.resolve();
  #isHeld = false;

  constructor(settingsOf: () => Promise<TrainSettings>) {
    this.#settingsOf = settingsOf;
    onClick("estimate-now", () => this.#begin());
  }

  /** While a run goes on, nothing is estimated. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.#turn++;
    clearTimeout(this.#timer);
    byId<HTMLButtonElement>("estimate-now").disabled = isHeld;
  }

  /** Asks for a new one, once there was no change for a while. */
  ask(): void {
    if (this.#isHeld) return;
    this.#turn++;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#begin(), CALM_MS);
  }

  #begin(): void {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    this.#work = this.#work.then(() => this.#make(turn));
  }

  async #make(turn: number): Promise<void> {
    if (turn !== this.#turn) return;
    const say = (children: readonly (Node | string)[]) => {
      if (turn === this.#turn) fill(byId("estimate"), children);
    };
    say([element("p", { className: "quiet" }, ["Looking at the data …"])]);
    try {
      const settings = await this.#settingsOf();
      const { train } = await import("highrank");
      let start: StartRecord | undefined;
      const onRecord = (record: { kind: string }) => {
        if (record.kind === "start") start = record as StartRecord;
      };
      await train({ ...settings, dryRun: true }, { onRecord });
      say([rowsOf(start!)]);
    } catch (error) {
      say([element("p", { className: "fault" }, [wordsOf(error)])]);
    }
  }
}

function rowsOf(start: StartRecord): HTMLElement {
  const { parameters, trainableParameters, data, device, memory, availableMemoryBytes, plan, outline } = start;
  const epochs = outline === undefined ? "" : `, ${Number(outline.epochs.toPrecision(2))} times the data`;
  const rows = [
    ["Data", data.replace(/^.*\//, "")],
    ["Model", `${formatCount(parameters)} parameters, ${formatCount(trainableParameters)} of them trained`],
    ["Steps", `${plan}${epochs}`],
    ["Memory", `about ${formatBytes(sum(Object.values(memory)))} of ${formatBytes(availableMemoryBytes)}`],
    ["Computes on", device],
    ["Time", timeOf(start)],
  ] as const;
  return element(
    "dl",
    {},
    rows.flatMap(([name, value]) => [element("dt", {}, [name]), element("dd", {}, [value])]),
  );
}

function timeOf(start: StartRecord): string {
  const time = secondsOf(start);
  if (time === null) return "known after the first steps: no run was measured here yet";
  const basis = time.isSame ? `its last run here` : `the last run of ${time.by} here, by their sizes`;
  return `about ${formatDuration(time.seconds)}, by ${basis}`;
}
