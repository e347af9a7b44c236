import type { Chart } from "./chart.js";

// The data of a page, as JSON: embedded in a report, or sent as events while runs go on. The page's script reads them.

type Numbers = readonly (number | null)[];

/** Points of the curves of a run, by column; null where a value is not finite or not known. */
export interface StepColumns {
  /** The last step of a point, rising. */
  readonly step: Numbers;
  /** How many steps the point stands for. */
  readonly steps: Numbers;
  /** Tokens trained on up to the point. */
  readonly tokens: Numbers;
  /** Wall time of training up to the point; null in runs of earlier versions. */
  readonly seconds: Numbers;
  /** Mean loss. */
  readonly loss: Numbers;
  readonly lowestLoss: Numbers;
  readonly highestLoss: Numbers;
  /** The lowest learning rate. */
  readonly rate: Numbers;
  /** Those of groups of weights, where they differ. */
  readonly weightsRate: Numbers;
  readonly adaptersRate: Numbers;
  readonly adapterOutputsRate: Numbers;
  /** The highest gradient norm. */
  readonly gradNorm: Numbers;
  /** Mean tokens a second, with padding. */
  readonly speed: Numbers;
}

/** A held-out loss. */
export interface EvalPoint {
  readonly step: number;
  readonly loss: number | null;
}

/** A step with a vertical line: dashed for a merge; with a label for the begin of a phase. */
export interface Mark {
  readonly step: number;
  readonly label: string;
}

/** What a list of runs says of each. */
export interface RunFacts {
  readonly step: number;
  readonly maxSteps: number | null;
  /** The mean of the last steps in training. */
  readonly loss: number | null;
  /** The number of steps that it is the mean of. */
  readonly lossSteps: number;
  readonly heldOut: number | null;
  readonly lowestHeldOut: number | null;
  /** Those scored. */
  readonly tokens: number;
  /** Tokens computed a second, with padding. */
  readonly speed: number | null;
  readonly seconds: number | null;
}

export const SECTIONS = ["warnings", "facts", "samples", "summary", "tables", "settings"] as const;

export type SectionName = (typeof SECTIONS)[number];

/** Markup of parts of the page that are of one run, ready to be shown. Texts in it are escaped. */
export type Sections = Readonly<Record<SectionName, string>>;

/** One run of a page. */
export interface RunData {
  /** Tells runs of a page apart. */
  readonly id: string;
  readonly name: string;
  readonly title: string;
  /** One word or a few: `running`, `done`, `damaged`. */
  readonly state: string;
  readonly isRunning: boolean;
  readonly facts: RunFacts;
  readonly steps: StepColumns;
  readonly evals: readonly EvalPoint[];
  readonly marks: readonly Mark[];
  /** Charts beside the curves, such as those of merges. */
  readonly charts: readonly Chart[];
  /** Values in words, by name. */
  readonly settings: readonly (readonly [name: string, value: string])[];
  /** Left out where the page holds them already. */
  readonly sections?: Sections;
}

/** What has changed in a run. */
export interface RunUpdate extends Omit<RunData, "steps"> {
  /** The points from `from` on; those before stay. */
  readonly steps: StepColumns;
  readonly from: number;
}

/** What a page of runs holds when it is opened. */
export interface PageData {
  /** The charts of a page that is not of runs, such as that of a study: one for each element `chart-0`, `chart-1` …. */
  readonly charts: readonly Chart[];
  /** Those of a report, of which there is one; empty on a live page. */
  readonly runs: readonly RunData[];
  /** Where a live page hears of its runs; null for a page that is finished. */
  readonly events: string | null;
}
