import { DataError } from "../base/errors.js";
import { isObject, shortened } from "../base/json.js";
import { frontMatter } from "./front-matter.js";

/** Where a dataset card says that the files of its data are. Paths are relative to its folder. */
export interface CardFiles {
  /** The folder that holds all of them. */
  readonly folder: string | null;
  /** Patterns of the files of each split, for `matchesPattern`; null if the files' names tell. */
  readonly splits: ReadonlyMap<string, readonly string[]> | null;
}

/**
 * Reads `configs` in the front matter of a dataset card (README.md): that of the data set with this name, or of the one
 * which `load_dataset` takes by default. Null for a card that names no files, or whose front matter is no YAML.
 * @throws DataError if it describes several data sets and no default, or none of that name.
 */
export function readDatasetCard(text: string, name: string | null = null): CardFiles | null {
  const card = frontMatter(text);
  const listed = Array.isArray(card.configs) ? card.configs : [];
  const configs = listed.filter(isObject);
  const isDefault = (config: Record<string, unknown>) => config.default === true || config.config_name === "default";
  const isNamed = ({ config_name }: Record<string, unknown>) => config_name === name;
  const chosen = name !== null ? configs.find(isNamed) : configs.length === 1 ? configs[0] : configs.find(isDefault);
  const names = shortened(configs.map(({ config_name }) => String(config_name)).join(", "));
  if (name !== null && name !== "default" && chosen === undefined) {
    throw new DataError(`README.md describes no data set ${name}; it describes ${names || "none by name"}`);
  }
  if (configs.length === 0) return null;
  if (chosen === undefined) {
    throw new DataError(
      `README.md describes the data sets ${names}, and none is the default; name one behind a colon, as :${names.split(",")[0]!}`,
    );
  }
  const { data_dir: folder, data_files: files } = chosen;
  return {
    folder: typeof folder === "string" ? folder.replace(/^\.?\/|\/$/g, "") : null,
    splits: files === undefined || files === null ? null : splitsOf(files),
  };
}

/** One pattern or a list for training, or a list of splits with theirs. */
function splitsOf(files: unknown): ReadonlyMap<string, readonly string[]> {
  const patterns = (given: unknown) =>
    (Array.isArray(given) ? given : [given]).filter((each) => typeof each === "string");
  const splits = Array.isArray(files) ? files.filter(isObject) : [];
  if (splits.length === 0) return new Map([["train", patterns(files)]]);
  return new Map(splits.map(({ split, path }) => [String(split), patterns(path)]));
}

/**
 * True if a path matches a pattern of `datasets`: `*` and `?` stand for characters of a name, `**` for folders too, and
 * `[…]` for one of a set. Takes time in proportion to both lengths.
 */
export function matchesPattern(pattern: string, path: string): boolean {
  const steps = pattern
    .replace(/^\.?\//, "")
    .split(/(\*\*\/|\*+|\?|\[[^\]/]+\])|(?=.)/su)
    .flatMap((part) => (part ? stepsOf(part) : []));
  /** Adds the step, and those that it may be left for without a character. */
  const enter = (into: Set<number>, step: number): void => {
    if (into.has(step)) return;
    into.add(step);
    for (const ahead of steps[step]?.skips ?? []) enter(into, step + ahead);
  };
  let current = new Set<number>();
  enter(current, 0);
  for (const char of path) {
    const next = new Set<number>();
    for (const step of current) {
      if (steps[step]?.accepts(char) === true) enter(next, step + (steps[step].repeats ? 0 : 1));
    }
    current = next;
  }
  return current.has(steps.length);
}

interface Step {
  accepts(char: string): boolean;
  readonly repeats: boolean;
  /** Distances to the steps that may follow without a character. */
  readonly skips: readonly number[];
}

function stepsOf(part: string): Step[] {
  const step = (accepts: (char: string) => boolean): Step => ({ accepts, repeats: false, skips: [] });
  const repeated = (accepts: (char: string) => boolean): Step => ({ accepts, repeats: true, skips: [1] });
  const inName = (char: string) => char !== "/";
  if (part === "**/") {
    return [{ ...step(() => false), skips: [1, 3] }, repeated(() => true), step((char) => char === "/")];
  }
  if (part.startsWith("**")) return [repeated(() => true)];
  if (part === "*") return [repeated(inName)];
  if (part === "?") return [step(inName)];
  // Any other part is one character, of one or two code units.
  return [step(part.length > 2 ? (char) => isInSet(part.slice(1, -1), char) : (char) => char === part)];
}

/** The set may begin with `!` or `^`, for characters that are not in it, and have ranges such as `0-9`. */
function isInSet(set: string, char: string): boolean {
  const isInverse = /^[!^]/.test(set);
  const listed = [...set.slice(isInverse ? 1 : 0)];
  const isListed = listed.some((one, index) =>
    one === "-" && index > 0 && index < listed.length - 1
      ? listed[index - 1]! <= char && char <= listed[index + 1]!
      : one === char,
  );
  return isListed !== isInverse && char !== "/";
}
