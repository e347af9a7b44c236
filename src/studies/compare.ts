import { baseName, extension, readText } from "#platform";
import {
  AMOUNT,
  either,
  FUNCTION,
  type Kind,
  OBJECT,
  requireArguments,
  requireOptions,
  SIGNAL,
  TEXT,
} from "../base/arguments.js";
import { Listeners } from "../base/listeners.js";
import { heardByProgram } from "../base/naming.js";
import type { TrainSettings } from "../config/train-settings.js";
import { type StudyOptions, type StudyResult, startStudy } from "./run-study.js";
import type { Reference } from "./study.js";
import { parseStudy } from "./study-config.js";

/** A study as its config file holds it. */
export interface StudyDescription {
  /** Default: the name of the file, or `study`. */
  readonly title?: string;
  /** Text for the report. */
  readonly notes?: string;
  /** Settings that all runs share. */
  readonly settings?: TrainSettings;
  /** Each arm is trained with each of them. */
  readonly seeds: readonly number[];
  /** Ways to train by name, each with the settings in which it differs. */
  readonly arms: Readonly<Record<string, TrainSettings>>;
  readonly reference?: Partial<Reference>;
}

/** Options of {@link compare}; all may be left out. */
export interface CompareOptions extends Partial<StudyOptions> {
  /** Lets the runs under way save and end; the outcome is then `stopped`. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS = {
  out: TEXT,
  parallel: AMOUNT,
  signal: SIGNAL,
  onBegin: FUNCTION,
  onRun: FUNCTION,
  onRecord: FUNCTION,
  onEnd: FUNCTION,
  onNotice: FUNCTION,
  onDownload: FUNCTION,
} as const satisfies Record<keyof CompareOptions, Kind>;

/**
 * Compares ways to train: a matrix of runs, each in a process of its own, and one report. Called again, it continues a
 * study that was stopped and leaves finished runs alone.
 * @param study a config file by its path, or what it would hold.
 * @param options `out` is by default studies/ and the study's name.
 * @throws ConfigError with every fault of the study, and for a folder that holds something else; as `train`.
 */
export async function compare(study: string | StudyDescription, options: CompareOptions = {}): Promise<StudyResult> {
  requireArguments("compare", { study: either(TEXT, OBJECT) }, { study });
  requireOptions("compare", options, OPTIONS);
  const isFile = typeof study === "string";
  const name = isFile ? baseName(study).slice(0, -extension(study).length || undefined) : (study.title ?? "study");
  const parsed = parseStudy(isFile ? await readText(study) : JSON.stringify(study), isFile ? study : "compare", name);
  options.signal?.throwIfAborted();
  const listeners = new Listeners(options.signal);
  const { signal: _, out = `studies/${name}`, onNotice, ...rest } = listeners.guarded(options);
  const { done, stop } = startStudy(parsed, {
    ...rest,
    ...(onNotice !== undefined && { onNotice: heardByProgram(onNotice) }),
    out,
  });
  listeners.signal.addEventListener("abort", stop, { once: true });
  return listeners.resultOf(done);
}
