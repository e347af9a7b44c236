import { baseName, extension } from "#platform";
import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { type CardFiles, matchesPattern } from "./dataset-card.js";

/** The data files of a folder on the sides of the split that their names put them on. Paths are relative to it. */
export interface SplitFiles {
  readonly train: readonly string[];
  readonly validation: readonly string[];
  /** Files of tests or of other splits, and files about the data. */
  readonly leftOut: readonly string[];
}

const SIDES = ["train", "validation", "test"] as const;
type Side = (typeof SIDES)[number];

/** Words that name a side, as in the library `datasets` (5.2, data_files.py). */
const KEYWORDS: Readonly<Record<Side, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};

/** Character that sets a keyword apart from the rest of a name. */
const APART = "[-._ 0-9]";

/** Files as `push_to_hub` names them: `data/train-00000-of-00004.parquet`. */
const SHARD = /^data\/([^/]+)-\d{5}-of-\d{5}[^/]*\.[^/]*$/;

/** Files that stand beside data in most repositories, and those that `datasets` writes about data. */
const ABOUT_DATA: readonly RegExp[] = [
  /^(readme|licen[cs]e|copying|notice|changelog|contributing|code_of_conduct|citation|security|authors)(\.(md|txt))?$/i,
  /^(config|dataset_infos?|dataset_dict|state)\.json$/,
];

/** Sides of each name under one rule; null if the rule knows none of the names. */
type Rule = (paths: readonly string[]) => readonly (readonly Side[])[] | null;

const RULES: readonly Rule[] = [ofFolders, ofNames];

/**
 * Splits a folder's files as `datasets.load_dataset` does: as its dataset card says, or by the names of shards, or else
 * by those of folders, or else by those of files. The first rule that knows a name decides alone; if it names no file
 * for training, these are all that it does not name. Unlike there, upper case counts as lower case, and the keyword
 * must be the whole name of a Markdown file. Beside Parquet files, `.json` is about the data.
 * @param card README.md of the folder, if it says where data are.
 * @param isStrict false where a card may name files that are not there.
 * @throws DataError if a file is named for both sides, none of the splits is for training, or the card names a file
 * that is not there.
 */
export function splitFiles(paths: readonly string[], card: CardFiles | null = null, isStrict = true): SplitFiles {
  const inside = card?.folder ? `${card.folder}/` : "";
  const hasTables = paths.some((path) => extension(path) === ".parquet");
  const data = paths.filter(
    (path) =>
      path.startsWith(inside) &&
      !/(^|\/)__[^/]*\//.test(path) &&
      !ABOUT_DATA.some((name) => name.test(baseName(path))) &&
      !(hasTables && extension(path) === ".json"),
  );
  const names = data.map((path) => path.slice(inside.length));
  const splits = card?.splits ? cardSplits(names, card.splits, isStrict) : shardSplits(names);
  const sides = splits ?? RULES.map((rule) => rule(names)).find((found) => found !== null) ?? names.map(() => []);
  const on = (side: Side) => data.filter((_, index) => sides[index]!.includes(side));
  const [named, validation] = [on("train"), on("validation")];
  const train = named.length > 0 || splits !== null ? named : data.filter((_, index) => sides[index]!.length === 0);
  const both = train.find((path) => validation.includes(path));
  if (both !== undefined) {
    throw new DataError(`${both} is named for training and for validation; give it the name of one`);
  }
  const used = new Set([...train, ...validation]);
  return { train, validation, leftOut: paths.filter((path) => !used.has(path)) };
}

/** The rules of version 1: whole names only, and every file is data. */
export function splitWholeNames(paths: readonly string[]): SplitFiles {
  const side = (path: string) => {
    const name = stem(path).toLowerCase();
    return name === "valid" ? "validation" : SIDES.find((each) => each === name);
  };
  const on = (wanted: Side | undefined) => paths.filter((path) => side(path) === wanted);
  const [named, validation] = [on("train"), on("validation")];
  if (named.length === 0 && validation.length === 0) return { train: paths, validation, leftOut: [] };
  return { train: named.length > 0 ? named : on(undefined), validation, leftOut: [] };
}

/** Sides of files that belong to splits by name; null if none does. @throws DataError if none is for training. */
function sidesOfSplits(splits: readonly (readonly string[])[]): readonly (readonly Side[])[] | null {
  const present = [...new Set(splits.flat())];
  if (present.length === 0) return null;
  const sides = splits.map((names) => SIDES.filter((side) => names.some((name) => KEYWORDS[side].includes(name))));
  if (sides.some((each) => each.includes("train"))) return sides;
  throw new DataError(
    `it holds the splits ${present.join(", ")}, but none named train; ` +
      "put the files to train on into a folder of their own, or name one of them",
  );
}

function shardSplits(paths: readonly string[]): ReturnType<typeof sidesOfSplits> {
  return sidesOfSplits(paths.map((path) => SHARD.exec(path)?.slice(1) ?? []));
}

/**
 * @throws DataError for a pattern that no file matches, as `datasets` does. Files of tests, which are not used, need
 * not be there: they are not downloaded.
 */
function cardSplits(
  paths: readonly string[],
  splits: NonNullable<CardFiles["splits"]>,
  isStrict: boolean,
): ReturnType<typeof sidesOfSplits> {
  const found = paths.map((path) =>
    [...splits].filter(([, patterns]) => patterns.some((each) => matchesPattern(each, path))).map(([name]) => name),
  );
  const hasNone = found.every((names) => names.length === 0);
  for (const [name, patterns] of isStrict ? splits : []) {
    const isUsed = [...KEYWORDS.train, ...KEYWORDS.validation].includes(name);
    const missing = patterns.find((each) => !paths.some((path) => matchesPattern(each, path)));
    if (missing === undefined || !(isUsed || hasNone)) continue;
    throw new DataError(
      `README.md names ${shownValue(missing)} for the split ${name}, and no data file matches it; ` +
        "add the file, or correct data_files in README.md",
    );
  }
  return sidesOfSplits(found);
}

function ofFolders(paths: readonly string[]): ReturnType<Rule> {
  const rules = patterns((keyword) => `^(?:.*${APART})?${keyword}(?:${APART}.*)?$`);
  return known(paths.map((path) => sidesNamed(path.split("/").slice(0, -1), rules)));
}

function ofNames(paths: readonly string[]): ReturnType<Rule> {
  const rules = patterns((keyword) => `^(?:.*${APART})?${keyword}${APART}`);
  const whole = patterns((keyword) => `^${keyword}$`);
  return known(
    paths.map((path) =>
      extension(path) === ".md" ? sidesNamed([stem(path)], whole) : sidesNamed([baseName(path)], rules),
    ),
  );
}

type Patterns = Readonly<Record<Side, RegExp>>;

function patterns(of: (keywords: string) => string): Patterns {
  const compiled = SIDES.map((side) => [side, new RegExp(of(`(?:${KEYWORDS[side].join("|")})`), "i")] as const);
  return Object.fromEntries(compiled) as Record<Side, RegExp>;
}

function sidesNamed(names: readonly string[], rules: Patterns): readonly Side[] {
  return SIDES.filter((side) => names.some((name) => rules[side].test(name)));
}

function known(sides: readonly (readonly Side[])[]): ReturnType<Rule> {
  return sides.some((each) => each.length > 0) ? sides : null;
}

function stem(path: string): string {
  return baseName(path).slice(0, baseName(path).length - extension(path).length);
}
