import { absolutePath, baseName } from "#platform";
import { HighrankError } from "../../base/errors.js";
import { RUN_SETTINGS } from "../../base/naming.js";
import { readJsonObject } from "../../files/json-file.js";
import { checkpointPath } from "../../files/open-file.js";
import { MetricsTail } from "../../runs/metrics-tail.js";
import type { RunUpdate } from "../../runs/report/page-data.js";
import { RunCourse } from "../../runs/report/run-course.js";
import { runData, runTitle, type ShownRun, sectionsOf } from "../../runs/report/run-data.js";
import { METRICS_FILE, runHolder } from "../../runs/run-folder.js";
import { runWarnings } from "../../runs/warnings.js";
import { KeptRecords } from "./kept-records.js";

/** Looks at a run that has ended are this much rarer. */
const REST_LOOKS = 5;

/** The words for a run that no process writes any more. */
const OUTCOMES = { done: "done", early: "ended early", stopped: "stopped", diverged: "diverged" } as const;

const UNREADABLE = "unreadable";

/** How much of a run a page has heard. */
export interface Heard {
  readonly revision: number;
  readonly joinings: number;
  readonly points: number;
}

/** A run folder that is looked at again and again, by reading what was added. */
export class FollowedRun {
  readonly id: string;
  readonly folder: string;
  /** Rises with each change of what a page shows. */
  #revision = 0;
  #course = new RunCourse();
  #kept = new KeptRecords();
  /** Undefined until they are read. */
  #settings: ShownRun["settings"] | undefined;
  #tail: MetricsTail | undefined;
  #damage: { readonly lines: number; readonly first: string } | null = null;
  /** The reason why the folder cannot be read. */
  #fault: string | null = null;
  #state = "";
  #isRunning = false;
  #looks = 0;
  #looking: Promise<void> | undefined;

  /** @param id tells runs of a page apart. */
  constructor(id: string, folder: string) {
    this.id = id;
    this.folder = folder;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Reads what is new. Faults of the folder are told on the page, not thrown. Calls at one time are one look. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** What a page that has heard so much must hear; null if that is nothing. */
  news(heard: Heard | undefined): { readonly update: RunUpdate; readonly heard: Heard } | null {
    const revision = this.#revision;
    if (heard?.revision === revision || revision === 0) return null;
    const { steps } = this.#course;
    const from = heard?.joinings === steps.joinings && heard.points <= steps.length ? heard.points : 0;
    const settings = this.#settings ?? {};
    const name = baseName(absolutePath(this.folder));
    const shown = { id: this.id, name: this.id, title: runTitle(name, settings), settings };
    const state = { state: this.#state, isRunning: this.#isRunning };
    const data = runData(shown, this.#course, state);
    const sections = sectionsOf(this.#course, settings, {
      warnings: this.#warnings(),
      ...(this.#fault !== null && { outcome: UNREADABLE }),
    });
    return {
      update: { ...data, steps: steps.columns(from), sections, from },
      heard: { revision, joinings: steps.joinings, points: steps.length },
    };
  }

  async #look(): Promise<void> {
    const isAtRest = this.#course.end !== undefined && !this.#isRunning;
    if (isAtRest && this.#looks++ % REST_LOOKS !== 0) return;
    const before = [this.#state, this.#fault, this.#isRunning].join();
    const hasNews = await this.#read();
    this.#state = this.#fault === null ? this.#stateInWords() : UNREADABLE;
    if (hasNews || this.#revision === 0 || before !== [this.#state, this.#fault, this.#isRunning].join()) {
      this.#revision++;
    }
  }

  /** True if there was something. */
  async #read(): Promise<boolean> {
    try {
      this.#tail ??= await this.#open();
      const hasNews = await this.#tail.read();
      this.#settings ??= await readJsonObject(await checkpointPath(this.folder, RUN_SETTINGS));
      const holder = await runHolder(this.folder);
      this.#isRunning = holder !== null && holder.isAlive !== false && this.#course.end === undefined;
      this.#fault = null;
      return hasNews;
    } catch (error) {
      if (!(error instanceof HighrankError)) throw error;
      this.#fault = error.message;
      this.#isRunning = false;
      return false;
    }
  }

  async #open(): Promise<MetricsTail> {
    return new MetricsTail(await checkpointPath(this.folder, METRICS_FILE), {
      onRecord: (record) => {
        this.#course.take(record);
        this.#kept.add(record);
      },
      onFault: (line, fault) => {
        const { lines = 0, first = `line ${line}: ${fault}` } = this.#damage ?? {};
        this.#damage = { lines: lines + 1, first };
      },
      onRestart: () => {
        this.#course = new RunCourse();
        this.#kept = new KeptRecords();
        this.#damage = null;
        // A resume may have changed them.
        this.#settings = undefined;
      },
    });
  }

  #stateInWords(): string {
    const words = this.#progressInWords();
    return this.#damage === null ? words : `${words}, damaged`;
  }

  #progressInWords(): string {
    const { end, start } = this.#course;
    if (end !== undefined) return OUTCOMES[end.outcome];
    if (this.#isRunning) return start === undefined ? "starting" : "running";
    return "not finished";
  }

  #warnings(): string[] {
    const damage = this.#damage;
    const damaged =
      damage === null
        ? []
        : [`${METRICS_FILE}: ${damage.lines} lines are not records and are left out; ${damage.first}`];
    const warnings = runWarnings(this.#kept.all).map(({ text }) => text);
    return [...(this.#fault === null ? [] : [this.#fault]), ...damaged, ...warnings];
  }
}
