import type { Command } from "commander";
import { DataError } from "../base/errors.js";
import { formatCount } from "../base/numbers.js";
import { ChatTemplate } from "../chats/chat-template.js";
import { SETTINGS } from "../config/settings.js";
import { type DatasetOptions, DEFAULT_SPLIT, describeUnused, type OpenDataset, openDataset } from "../data/dataset.js";
import { type DataDescription, describeDataset, type ShownRow } from "../data/describe.js";
import type { TokenCounts } from "../data/encoded-data.js";
import { holdOut } from "../data/hold-out.js";
import { sampledTexts } from "../data/record-texts.js";
import type { DataKind } from "../data/records.js";
import { type LocatedData, locateData, shownData } from "../hub/locate-data.js";
import { readTokenizer } from "../loading/companions.js";
import { locateTokenizer } from "../loading/run-model.js";
import { withTemplate } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { SAMPLE_BYTES, trainTokenizer } from "../tokenizers/train-tokenizer.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, type OptionValues, readOptions } from "./options.js";
import { cutToWidth, type Style, styleFor } from "./terminal.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  model: {
    type: "string",
    path: "name or path",
    default: null,
    none: "the tokenizer's",
    help: "Model whose tokenizer and chat template are used: a folder, a run or a name of the hub.",
  },
  tokenizer: {
    type: "string",
    path: "name or path",
    default: null,
    none: "the model's; without one, one is trained on the text, as train does; rows of tokens need none",
    help: SETTINGS.tokenizer.help,
  },
  columns: SETTINGS.columns,
  document: SETTINGS.document,
  chatTemplate: SETTINGS.chatTemplate,
  trainOnInputs: SETTINGS.trainOnInputs,
  chatDate: { ...SETTINGS.chatDate, isRare: true },
  sequenceLength: {
    type: "integer",
    default: null,
    none: "samples are not cut",
    min: 2,
    unit: "tokens",
    help: SETTINGS.sequenceLength.help,
  },
  vocabSize: { ...SETTINGS.vocabSize, isRare: true },
  exact: {
    type: "boolean",
    default: false,
    help: "Read and count everything. Without it, data of more than 20 MB are estimated from a sample.",
  },
} as const satisfies OptionTable;

const FORMATS: Readonly<Record<DataDescription["format"], string>> = {
  builtin: "built-in",
  folder: "folder",
  txt: "plain text",
  md: "Markdown",
  csv: "CSV",
  tsv: "TSV",
  jsonl: "JSON lines",
  json: "JSON",
  parquet: "Parquet",
};

const KINDS: Readonly<Record<DataKind, readonly [name: string, scored: string]>> = {
  text: ["text", "all of it scored"],
  "prompt-completion": ["prompt and completion", "only the completion is scored"],
  instruction: ["instruction and output", "only the output is scored"],
  "question-answer": ["question and answer", "only the answer is scored"],
  messages: ["messages", "only the assistant's are scored"],
  "prompt-completion messages": ["prompt and completion in messages", "only the completion is scored"],
  "token rows": ["rows of input_ids", "each scored on its own"],
};

function kindText(kind: DataKind, trainOnInputs: boolean, hasTemplate: boolean): string {
  const [name, scored] = KINDS[kind];
  const form = kind === "question-answer" ? (hasTemplate ? " as a chat" : " as a text, without a chat template") : "";
  return `${name}${form}, ${trainOnInputs && scored.startsWith("only") ? "all scored" : scored}`;
}

/** Bytes of data that are counted whole. */
const EXACT_BYTES = 20_000_000;

/** `highrank data FILE` */
export function addData(program: Command, context: Context): void {
  const command = addVerb(program, "data", "show how training data are read").argument("<FILE>", SETTINGS.data.help);
  addOptions(command, OPTIONS);
  command.action(async (source: string) => {
    const options = readOptions(command, OPTIONS);
    const path = options.tokenizer ?? options.model;
    const data = await locateData(source, context.events);
    const dataset = await holdOut(await datasetOf(data, options), DEFAULT_SPLIT);
    const folder = path && (await locateTokenizer(path, context.events)).folder;
    const tokenizer = await tokenizerFor(dataset, folder, options);
    const description = { ...(await describeDataset(dataset, tokenizer, options)), source: data.name };
    const found = { ...description, vocabSize: tokenizer?.vocabSize ?? null };
    context.result(found, () => {
      const columns = context.outlet.columns;
      const style = styleFor(context.outlet, context.env);
      const vocabulary =
        tokenizer === undefined ? [] : [`vocabulary  ${tokenizer.vocabSize} tokens, ${path ?? "trained on this text"}`];
      const hasTemplate = tokenizer !== undefined && ChatTemplate.of(tokenizer) !== null;
      const kind = kindText(description.kind, options.trainOnInputs, hasTemplate);
      const where = data.origin === "file" || data.origin === "built-in text" ? [] : [`data        ${shownData(data)}`];
      const shown = rowLines(description.rows ?? [], tokenizer, style);
      return [...where, ...lines(found, kind, dataset.unit, columns), ...vocabulary, "", ...shown];
    });
  });
}

/**
 * All of the data, or of large ones a sample. A fault in a sample is looked for in the whole, whose lines can be named.
 */
async function datasetOf(
  { source, config }: LocatedData,
  { columns, document, exact }: Pick<OptionValues<typeof OPTIONS>, "columns" | "document" | "exact">,
): Promise<OpenDataset> {
  const options: DatasetOptions = { columns, document, config };
  if (exact) return openDataset(source, options);
  try {
    return await openDataset(source, { ...options, sampleAbove: EXACT_BYTES });
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return openDataset(source, options);
  }
}

async function tokenizerFor(
  { kind, train }: OpenDataset,
  path: string | null,
  { chatTemplate, vocabSize }: { readonly chatTemplate: string | null; readonly vocabSize: number },
): Promise<Tokenizer | undefined> {
  if (path === null && kind === "token rows") return undefined;
  const tokenizer =
    path === null ? trainTokenizer(await sampledTexts(train, SAMPLE_BYTES), { vocabSize }) : await readTokenizer(path);
  return withTemplate(tokenizer, chatTemplate);
}

function lines(
  { format, unused, isEstimated, samples, characters, train, validation }: DataDescription,
  described: string,
  unit: OpenDataset["unit"],
  columns: number,
): string[] {
  const row = (name: string, ...cells: readonly (string | number | undefined)[]): string =>
    name.padEnd(10) + cells.map((cell) => countText(cell, isEstimated).padStart(12)).join("");
  const side = (name: string, documents: number, characters: number, counts: TokenCounts | null): string =>
    row(name, documents, characters, counts?.tokens, counts?.scoredTokens);
  return [
    cutToWidth(`format      ${FORMATS[format]}: ${described}`, columns),
    "",
    row("", `${unit}s`, "characters", "tokens", "scored"),
    side("train", samples.train, characters.train, train),
    side("held-out", samples.validation, characters.validation, validation),
    "",
    ...(isEstimated ? ["counts      about, from a sample of the data; --exact counts all"] : []),
    ...lengthLines(train, isEstimated),
    ...unusedLines(unused),
  ];
}

function unusedLines(unused: DataDescription["unused"]): string[] {
  const described = describeUnused(unused);
  return described === "" ? [] : [`not used    ${described}`];
}

function countText(cell: string | number | undefined, isEstimated: boolean): string {
  return typeof cell === "number" && isEstimated ? `~${formatCount(cell)}` : `${cell ?? ""}`;
}

function lengthLines(counts: TokenCounts | null, isEstimated: boolean): string[] {
  if (counts === null || counts.lengths === null) return [];
  const { lengths, truncation } = counts;
  const cut =
    truncation.samples === 0
      ? "none"
      : `${isEstimated ? "about " : ""}${truncation.samples} training samples, leaving out ${truncation.tokens} tokens`;
  return [`lengths     ${lengths.min} to ${lengths.max} tokens, median ${lengths.median}`, `cut         ${cut}`];
}

/** The first samples: scored tokens green and the others dim; without colours, scored tokens in brackets. */
function rowLines(rows: readonly ShownRow[], tokenizer: Tokenizer | undefined, style: Style): string[] {
  if (rows.length === 0) return [];
  const hasColour = style.green("") !== "";
  const note = hasColour ? "scored tokens in green" : "scored tokens in brackets";
  const what = rows.length === 1 ? "the first training sample" : `the first ${rows.length} training samples`;
  return [
    `${what}, ${note}:`,
    ...rows.flatMap((row) => ["", ...rowText(row, tokenizer, style, hasColour).split("\n")]).slice(1),
  ];
}

function rowText(
  { tokens, goesOn }: ShownRow,
  tokenizer: Tokenizer | undefined,
  style: Style,
  hasColour: boolean,
): string {
  const runs: { isScored: boolean; ids: number[] }[] = [];
  for (const { id, isScored } of tokens) {
    const last = runs.at(-1);
    if (last?.isScored === isScored) last.ids.push(id);
    else runs.push({ isScored, ids: [id] });
  }
  const shown = runs.map(({ isScored, ids }) => {
    const text = tokenizer === undefined ? ids.join(" ") : tokenizer.decode(ids);
    if (hasColour) return isScored ? style.green(text) : style.dim(text);
    return isScored ? `[${text}]` : text;
  });
  return shown.join(tokenizer === undefined ? " " : "") + (goesOn ? " …" : "");
}
