import type { OpenSettings } from "../config/derive.js";
import { SETTING_KEYS, settingOf } from "../config/names.js";
import type { SettingKey, Settings } from "../config/settings.js";

/** A matrix of runs, every arm with every seed. */
export interface Study<S extends OpenSettings = Settings> {
  readonly title: string;
  /** Text for the report, or empty. */
  readonly notes: string;
  readonly seeds: readonly number[];
  readonly arms: readonly Arm<S>[];
  readonly reference: Reference;
}

/** A study as it was asked for: what follows from models and data is still open. */
export type AskedStudy = Study<OpenSettings>;

/** One way to train. */
export interface Arm<S extends OpenSettings = Settings> {
  readonly name: string;
  /** Settings of its runs, but for `seed`, `out` and, where it is null, `threads`. */
  readonly settings: S;
  /** The settings that were asked for, of which these follow; absent where they are the same. */
  readonly asked?: OpenSettings;
  /** Mean number of tokens of a row, without padding. Default: rows are full, as those of text. */
  readonly tokensPerRow?: number;
}

/** The arms that the others are measured against, by name. */
export interface Reference {
  /** The arm to improve on, such as LoRA. */
  readonly low: string;
  /** The arm to come near to, such as full-rank training; null where there is none, and no gap to measure. */
  readonly high: string | null;
}

/** Settings that every run of a study is given. */
export const OWN_SETTINGS: readonly SettingKey[] = SETTING_KEYS.filter((key) => settingOf(key).study === "own");

/**
 * Settings that must be the same in all arms: with another text, vocabulary or length of the context a held-out loss is
 * the loss of another task.
 */
export const SHARED_SETTINGS: readonly SettingKey[] = SETTING_KEYS.filter((key) => settingOf(key).study === "shared");
