import type { Command } from "commander";
import { SETTINGS } from "../config/settings.js";
import { loadCorpus } from "../data/corpus.js";
import {
  describeData,
  holdsTokenRows,
  type SampleToken,
  type TextDescription,
  type TokenRowsDescription,
} from "../data/describe.js";
import { Tokenizer } from "../data/tokenizer.js";
import { trainTokenizer } from "../data/train-tokenizer.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { cutToWidth, type Style, singleLine, styleFor } from "./terminal.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  tokenizer: {
    type: "string",
    default: null,
    none: "one is trained on the text, as train does; rows of tokens need none",
    help: SETTINGS.tokenizer.help,
  },
  vocabSize: SETTINGS.vocabSize,
} as const satisfies OptionTable;

const FORMATS: Readonly<Record<TextDescription["format"], string>> = {
  builtin: "built-in text",
  folder: "folder of text files",
  txt: "plain text, documents are paragraphs",
  md: "Markdown, documents are sections",
  jsonl: 'JSON lines with "text"',
};

/** Longer samples are cut: they are to be looked at. */
const SAMPLE_TOKENS = 64;

/** `highrank data FILE` */
export function addData(program: Command, context: Context): void {
  const command = addVerb(program, "data", "show what is read from training text").argument(
    "<FILE>",
    SETTINGS.data.help,
  );
  addOptions(command, OPTIONS);
  command.action(async (source: string) => {
    const { tokenizer: path, vocabSize } = readOptions(command, OPTIONS);
    const tokenizer = path === null ? await trainedTokenizer(source, vocabSize) : await Tokenizer.fromFolder(path);
    const description = await describeData(source, tokenizer);
    const sampleTokens = description.sampleTokens?.slice(0, SAMPLE_TOKENS) ?? [];
    const found = { ...description, vocabSize: tokenizer?.vocabSize ?? null, sampleTokens };
    context.result(found, () => {
      const columns = context.terminal.columns ?? 80;
      const style = styleFor(context.terminal, context.env);
      const body = description.kind === "text" ? textLines(description, columns) : rowLines(description);
      const vocabulary =
        tokenizer === undefined ? [] : [`vocabulary  ${tokenizer.vocabSize} tokens, ${path ?? "trained on this text"}`];
      return [...body, ...vocabulary, "", ...sampleLines(sampleTokens, columns, style)];
    });
  });
}

async function trainedTokenizer(source: string, vocabSize: number): Promise<Tokenizer | undefined> {
  if (await holdsTokenRows(source)) return undefined;
  const { train } = await loadCorpus(source);
  return trainTokenizer(train, { vocabSize });
}

function textLines({ format, documents, characters, tokens, sample }: TextDescription, columns: number): string[] {
  const row = (name: string, ...cells: readonly (string | number)[]): string =>
    name.padEnd(10) + cells.map((cell) => `${cell}`.padStart(13)).join("");
  return [
    `format      ${FORMATS[format]}`,
    "",
    row("", "documents", "characters", "tokens"),
    row("train", documents.train, characters.train, tokens?.train ?? ""),
    row("held-out", documents.validation, characters.validation, tokens?.validation ?? ""),
    "",
    "the first document to train on:",
    cutToWidth(singleLine(sample), columns),
    "",
  ];
}

function rowLines({ rows, tokens, scoredTokens, longestRow }: TokenRowsDescription): string[] {
  return [
    'format      JSON lines with "input_ids", scored row by row',
    `rows        ${rows}, the longest of ${longestRow} tokens`,
    `tokens      ${tokens}, of which ${scoredTokens} are scored`,
  ];
}

/** The tokens between bars, as many as fit on a line; those that are not scored stand in parentheses. */
function sampleLines(tokens: readonly SampleToken[], columns: number, style: Style): string[] {
  const pieces = tokens.map(({ id, text, isScored }) => {
    const piece = text === "" ? String(id) : JSON.stringify(text).slice(1, -1);
    return isScored ? piece : `(${piece})`;
  });
  const unscored = tokens.some(({ isScored }) => !isScored);
  const note = unscored
    ? "its first tokens; the loss leaves out those in parentheses:"
    : "its first tokens, all scored:";
  return [style.dim(note), cutToWidth(pieces.join("|"), columns)];
}
