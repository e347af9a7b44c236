import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { either, flagOf } from "../base/naming.js";
import { plainNumbers } from "../python/json.js";
import type { DataKind } from "./records.js";

type Fields = Readonly<Record<string, unknown>>;

/** A column that would change what is trained on, if it were understood, so that it is not left out in silence. */
interface RefusedColumn {
  readonly names: readonly string[];
  readonly kinds: readonly DataKind[];
  /** True for values that change nothing. */
  isHarmless(value: unknown, fields: Fields): boolean;
  readonly remedy: string;
}

const PROMPTED: readonly DataKind[] = [
  ...(["prompt-completion", "prompt-completion messages", "instruction", "question-answer"] as const),
];
const CHATS: readonly DataKind[] = ["messages", "prompt-completion messages"];

const isEmpty = (value: unknown): boolean =>
  value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
// In a table, values are texts.
const isOne = (value: unknown): boolean => {
  const weight = plainNumbers(value);
  return weight === 1 || (typeof weight === "string" && (weight.trim() === "" || Number(weight) === 1));
};
const isTruth = (value: unknown): boolean =>
  typeof value === "boolean" || (typeof value === "string" && /^(true|false)$/i.test(value));

const REFUSED: readonly RefusedColumn[] = [
  {
    names: ["label", "kto_tag"],
    kinds: PROMPTED,
    isHarmless: (value) => !isTruth(value),
    remedy: "it says whether the answer is a good one (KTO): keep the good ones, and leave the column out",
  },
  {
    names: ["image", "images", "video", "videos", "audio", "audios"],
    kinds: ["text", ...PROMPTED, ...CHATS],
    isHarmless: isEmpty,
    remedy: "only text is trained on: keep samples without it, or leave the column out",
  },
  {
    names: ["system", "history"],
    kinds: ["prompt-completion"],
    isHarmless: isEmpty,
    remedy: "a prompt is a text and has no place for it: write it into the prompt, or the sample as messages",
  },
  {
    names: ["history"],
    kinds: CHATS,
    isHarmless: isEmpty,
    remedy: "put its turns before the messages",
  },
  {
    names: ["weight", "weights", "sample_weight", "loss_weight"],
    kinds: ["text", ...PROMPTED, ...CHATS, "token rows"],
    isHarmless: isOne,
    remedy: "all samples weigh the same here: repeat or leave out samples instead, and leave the column out",
  },
  {
    names: ["loss_mask", "prompt_mask"],
    kinds: ["token rows"],
    isHarmless: () => false,
    remedy: 'write it as "completion_mask", 1 where a token is scored, or as "labels"',
  },
  {
    names: ["position_ids"],
    kinds: ["token rows"],
    isHarmless: (value) => Array.isArray(value) && value.every((position, index) => Number(position) === index),
    remedy: "positions count from 0 in each row: split rows of several samples, and leave the column out",
  },
  {
    names: ["seq_lengths"],
    kinds: ["token rows"],
    isHarmless: (value) => Array.isArray(value) && value.length <= 1,
    remedy: "it says that the row holds several samples: give each a row, and leave the column out",
  },
];

/** Names of columns that a Parquet file is read for, although they are refused. */
export const REFUSED_COLUMNS: readonly string[] = ["chosen", "rejected", ...REFUSED.flatMap(({ names }) => names)];

/** The option that gives columns these roles, for a message. */
export function columnsOption(roles: readonly string[]): string {
  return either(`columns: ${JSON.stringify(roles)}`, `${flagOf("columns")} ${roles.join(",")}`);
}

/** @throws DataError for pairs of answers, which other methods learn from. */
export function requireOneAnswer(fields: Fields): void {
  if (!("chosen" in fields && "rejected" in fields)) return;
  const isWhole = Array.isArray(fields.chosen) || !("prompt" in fields);
  const whole = Array.isArray(fields.chosen) ? "messages=chosen" : "text=chosen";
  throw new DataError(
    'has "chosen" and "rejected", pairs for methods such as DPO, while here one answer is learned; ' +
      `to train on the better ones alone, say so: ${columnsOption(isWhole ? [whole] : ["prompt=prompt", "completion=chosen"])}`,
  );
}

/** @throws DataError for a column that would change what is trained on, if it were understood. */
export function requireHonoured(kind: DataKind, fields: Fields): void {
  for (const { names, kinds, isHarmless, remedy } of REFUSED) {
    if (!kinds.includes(kind)) continue;
    const name = names.find((each) => each in fields && !isHarmless(fields[each], fields));
    if (name !== undefined)
      throw new DataError(`"${name}" is not understood, got ${shownValue(fields[name])}; ${remedy}`);
  }
}

/** The column that plays each role, by the name of the role. */
export type ColumnRoles = ReadonlyMap<string, string>;
