import type { MetricsRecord, StartRecord, StepRecord } from "../../dist/runs/metrics.js";
import type { Run, RunOptions } from "../../dist/verbs/train.js";
import { SpeedMeter } from "./pace-memory.ts";
import { byId, element, fill, onClick, wordsOf } from "./page.ts";
import { PaceOfTab } from "./tab-pace.ts";
import { TimeLeft } from "./time-left.ts";

type Highrank = typeof import("highrank");
type Pace = InstanceType<Highrank["Pace"]>;

/** What the rest of the page does about a run. */
export interface ControlListener {
  /** A run begins to train, or has ended. */
  onTraining(run: string | null): void;
  /** After a record was written. */
  onRecord(): void;
  onTrain(): void;
  /** Goes on with a run that failed after a checkpoint. */
  onGoOn(run: string): void;
}

/** The buttons of a run, and what is said of it. */
export class RunControl {
  readonly #listener: ControlListener;
  readonly #speed = new SpeedMeter();
  readonly #tab = new PaceOfTab((text) => this.notice(text));
  readonly #left = new TimeLeft();
  #isBusy = false;
  /** Of the run that trains. */
  #pace: Pace | null = null;
  #stopper = new AbortController();
  #start: StartRecord | null = null;
  #hasSteps = false;

  constructor(listener: ControlListener) {
    this.#listener = listener;
    onClick("train", () => listener.onTrain());
    onClick("pause", () => this.#pauseOrGoOn());
    onClick("one-step", () => {
      this.#left.goOn();
      this.#pace?.step();
      this.#say("Computing one step …");
    });
    onClick("stop", () => this.stop());
    // A pause has saved its state; steps since the last checkpoint would be made again.
    window.addEventListener("beforeunload", (event) => {
      if (this.#isBusy && this.#hasSteps && !this.#pace?.isPaused) event.preventDefault();
    });
    this.#show();
  }

  stop(): void {
    this.#say("Saving a checkpoint after the step under way …");
    this.#stopper.abort();
    byId<HTMLButtonElement>("stop").disabled = true;
  }

  notice(text: string): void {
    byId("notices").append(element("li", {}, [text]));
  }

  /** Says what is wrong. @param goOn a run that can go on. */
  fault(error: unknown, goOn?: string): void {
    const children: Node[] = [element("p", {}, [wordsOf(error)])];
    if (goOn !== undefined) {
      const button = element("button", { type: "button" }, ["Go on from the last checkpoint"]);
      button.addEventListener("click", () => this.#listener.onGoOn(goOn));
      children.push(button);
    }
    fill(byId("fault"), children);
  }

  /** Trains until the run ends, however it does. */
  async follow(name: string, begin: (highrank: Highrank, options: RunOptions) => Promise<Run>): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    fill(byId("fault"), []);
    fill(byId("notices"), []);
    this.#say("Getting ready …");
    this.#stopper = new AbortController();
    this.#start = null;
    this.#hasSteps = false;
    this.#listener.onTraining(name);
    this.#show();
    const awake = await navigator.wakeLock?.request("screen").catch(() => null);
    try {
      const highrank = await import("highrank");
      this.#pace = new highrank.Pace();
      this.#show();
      const run = await begin(highrank, {
        ...{ pace: this.#pace, signal: this.#stopper.signal },
        onNotice: (text) => this.notice(text),
        onRecord: (record) => this.#hear(record),
        onPause: ({ step, checkpoint }) =>
          this.#say(`Paused after step ${step}.${checkpoint === null ? "" : " A checkpoint is saved."}`),
      });
      this.#say(endOf(run));
    } catch (error) {
      this.#say(
        error instanceof Error && error.name === "DeviceError"
          ? "The device gave up."
          : "The run has ended with an error.",
      );
      this.fault(error, this.#hasSteps ? name : undefined);
      // What kept it from a first step can be mended there.
      byId<HTMLDetailsElement>("setup").open ||= !this.#hasSteps;
    } finally {
      this.#speed.keep();
      await awake?.release().catch(() => {});
      this.#pace = null;
      this.#isBusy = false;
      this.#left.end();
      this.#show();
      this.#listener.onTraining(null);
    }
  }

  #hear(record: MetricsRecord): void {
    if (record.kind === "start") {
      this.#start = record;
      this.#speed.begin(record);
      this.#left.begin(record);
      this.#say(`Training on ${record.device}.`);
    }
    if (record.kind === "step") this.#hearStep(record);
    this.#listener.onRecord();
  }

  #hearStep(record: StepRecord): void {
    this.#hasSteps = true;
    this.#speed.step(record);
    this.#tab.step(record);
    this.#left.step(record);
  }

  #pauseOrGoOn(): void {
    const pace = this.#pace;
    if (pace === null) return;
    if (pace.isPaused) {
      this.#left.goOn();
      pace.goOn();
      this.#say(`Training on ${this.#start?.device ?? "…"}.`);
    } else {
      pace.pause();
      this.#say("Pausing after the step under way …");
    }
    this.#show();
  }

  #show(): void {
    const isTraining = this.#pace !== null;
    const isPaused = this.#pace?.isPaused ?? false;
    byId<HTMLButtonElement>("train").disabled = this.#isBusy;
    for (const id of ["pause", "stop"]) byId<HTMLButtonElement>(id).disabled = !isTraining;
    byId<HTMLButtonElement>("one-step").disabled = !isPaused;
    byId("pause").textContent = isPaused ? "Go on" : "Pause";
  }

  #say(words: string): void {
    byId("status").textContent = words;
  }
}

const OUTCOMES: Readonly<Record<Run["outcome"], string>> = {
  done: "Done",
  early: "Ended early, as the held-out loss fell no more,",
  stopped: "Stopped",
  planned: "Planned",
};

function endOf({ outcome, step, finalLoss }: Run): string {
  const loss = finalLoss === null ? "" : `, held-out loss ${finalLoss.toFixed(5)}`;
  const then = outcome === "stopped" ? " A checkpoint is saved: Go on takes it up." : "";
  return `${OUTCOMES[outcome]} after ${step} steps${loss}.${then}`;
}
