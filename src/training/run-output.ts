import type { Settings } from "../config/settings.js";
import { waitForSpace } from "../runs/disk-space.js";
import type { MetricsRecord } from "../runs/metrics.js";
import type { RunFolder } from "../runs/run-folder.js";
import { TensorBoardLog } from "../runs/tensorboard.js";
import { runWarnings, type WarningKind } from "../runs/warnings.js";
import type { PacedSteps, Pause } from "./pace.js";

export interface RunHooks {
  readonly onRecord: (record: MetricsRecord) => void;
  /** Hears what is to be said while the run goes on. */
  readonly onNotice: (text: string) => void;
  /** Asked after each step; true saves a checkpoint and ends the run. */
  readonly stopRequested: () => boolean;
  /** The steps that the run may make before it waits. */
  readonly steps: PacedSteps;
  /** Hears each time that the run waits between two steps. */
  readonly onPause: (pause: Pause) => void;
  /** The step after which the run ends as if it had been asked to stop. */
  readonly untilStep: number | undefined;
}

/** The folder that a run writes into, and those who follow it. */
export class RunOutput {
  readonly folder: RunFolder;
  readonly hooks: RunHooks;
  readonly #noted = new Set<string>();
  readonly #warned = new Set<WarningKind>();
  readonly #events: TensorBoardLog | null;
  #path: string;

  constructor(folder: RunFolder, hooks: RunHooks, { log }: Pick<Settings, "log">) {
    this.folder = folder;
    this.hooks = hooks;
    this.#events = log?.includes("tensorboard") ? new TensorBoardLog(folder) : null;
    this.#path = folder.path;
  }

  /** Writes a line of metrics.jsonl, then tells it. */
  async record(record: MetricsRecord): Promise<void> {
    await this.folder.record(record);
    await this.#events?.record(record);
    const { path } = this.folder;
    if (path !== this.#path) this.hooks.onNotice(`${this.#path} was moved: the run goes on in ${path}.`);
    this.#path = path;
    this.hooks.onRecord(record);
    if (record.kind === "eval") this.#warn();
  }

  /** Tells warnings as they arise, each kind once. */
  #warn(): void {
    for (const { kind, text } of runWarnings(this.folder.records)) {
      if (this.#warned.has(kind)) continue;
      this.#warned.add(kind);
      this.hooks.onNotice(text);
    }
  }

  /** Tells what has not been told before. */
  noteOnce(text: string): void {
    if (this.#noted.has(text)) return;
    this.#noted.add(text);
    this.hooks.onNotice(text);
  }

  /** Waits until the disk has room for so many bytes of what is named. @throws InterruptedError as `waitForSpace`. */
  waitForSpace(bytes: number, purpose: string): Promise<void> {
    return waitForSpace(this.folder.path, bytes, purpose, this.hooks);
  }
}
