import type { Command } from "commander";
import { SETTINGS } from "../config/settings.js";
import { type Dataset, describeUnused, loadDataset } from "../data/dataset.js";
import { type DataDescription, describeDataset, type SampleToken } from "../data/describe.js";
import type { TokenCounts } from "../data/encoded-data.js";
import { type DataKind, textOfRecord } from "../data/records.js";
import { modelFolder } from "../hub/locate-model.js";
import { withTemplate } from "../tokenizers/model-tokenizer.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { trainTokenizer } from "../tokenizers/train-tokenizer.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { cutToWidth, type Style, styleFor, withoutControls } from "./terminal.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  model: {
    type: "string",
    path: "name or path",
    default: null,
    none: "the tokenizer's",
    help: "Model whose tokenizer and chat template are used: a folder or a name of the hub.",
  },
  tokenizer: {
    type: "string",
    path: "name or path",
    default: null,
    none: "the model's; without one, one is trained on the text, as train does; rows of tokens need none",
    help: SETTINGS.tokenizer.help,
  },
  chatTemplate: SETTINGS.chatTemplate,
  trainOnInputs: SETTINGS.trainOnInputs,
  chatDate: SETTINGS.chatDate,
  sequenceLength: {
    type: "integer",
    default: null,
    none: "samples are not cut",
    min: 2,
    unit: "tokens",
    help: SETTINGS.sequenceLength.help,
  },
  vocabSize: SETTINGS.vocabSize,
} as const satisfies OptionTable;

const FORMATS: Readonly<Record<DataDescription["format"], string>> = {
  builtin: "built-in",
  folder: "folder",
  txt: "plain text",
  md: "Markdown",
  jsonl: "JSON lines",
  json: "JSON",
  parquet: "Parquet",
};

const KINDS: Readonly<Record<DataKind, readonly [name: string, scored: string]>> = {
  text: ["text", "all of it scored"],
  "prompt-completion": ["prompt and completion", "only the completion is scored"],
  instruction: ["instruction and output", "only the output is scored"],
  messages: ["messages", "only the assistant's are scored"],
  "prompt-completion messages": ["prompt and completion in messages", "only the completion is scored"],
  "token rows": ["rows of input_ids", "each scored on its own"],
};

function kindText(kind: DataKind, trainOnInputs: boolean): string {
  const [name, scored] = KINDS[kind];
  return `${name}, ${trainOnInputs && scored.startsWith("only") ? "all scored" : scored}`;
}

/** Longer samples are cut, since people read them. */
const SAMPLE_TOKENS = 256;

/** `highrank data FILE` */
export function addData(program: Command, context: Context): void {
  const command = addVerb(program, "data", "show how training data are read").argument("<FILE>", SETTINGS.data.help);
  addOptions(command, OPTIONS);
  command.action(async (source: string) => {
    const options = readOptions(command, OPTIONS);
    const path = options.tokenizer ?? options.model;
    const dataset = await loadDataset(source);
    const folder = path && (await modelFolder(path, { ...context.events, wanted: "tokenizer" }));
    const tokenizer = await tokenizerFor(dataset, folder, options);
    const { sampleTokens, ...description } = await describeDataset(dataset, tokenizer, options);
    const shown = sampleTokens?.slice(0, SAMPLE_TOKENS) ?? [];
    const found = { ...description, vocabSize: tokenizer?.vocabSize ?? null, sampleTokens: shown };
    context.result(found, () => {
      const columns = context.terminal.columns ?? 80;
      const style = styleFor(context.terminal, context.env);
      const vocabulary =
        tokenizer === undefined ? [] : [`vocabulary  ${tokenizer.vocabSize} tokens, ${path ?? "trained on this text"}`];
      const hidden = (sampleTokens?.length ?? 0) - shown.length;
      const kind = kindText(description.kind, options.trainOnInputs);
      return [...lines(found, kind, columns), ...vocabulary, "", ...sampleLines(shown, hidden, tokenizer, style)];
    });
  });
}

async function tokenizerFor(
  { kind, train }: Dataset,
  path: string | null,
  { chatTemplate, vocabSize }: { readonly chatTemplate: string | null; readonly vocabSize: number },
): Promise<Tokenizer | undefined> {
  if (path === null && kind === "token rows") return undefined;
  const tokenizer =
    path === null
      ? trainTokenizer(
          train.map((record) => textOfRecord(record) ?? ""),
          { vocabSize },
        )
      : await Tokenizer.fromFolder(path);
  return withTemplate(tokenizer, chatTemplate);
}

function lines(
  { format, unused, kind, samples, characters, train, validation }: Omit<DataDescription, "sampleTokens">,
  described: string,
  columns: number,
): string[] {
  const row = (name: string, ...cells: readonly (string | number | undefined)[]): string =>
    name.padEnd(10) + cells.map((cell) => `${cell ?? ""}`.padStart(12)).join("");
  const side = (name: string, documents: number, characters: number, counts: TokenCounts | null): string =>
    row(name, documents, characters, counts?.tokens, counts?.scoredTokens);
  return [
    cutToWidth(`format      ${FORMATS[format]}: ${described}`, columns),
    "",
    row("", kind === "text" ? "documents" : "samples", "characters", "tokens", "scored"),
    side("train", samples.train, characters.train, train),
    side("held-out", samples.validation, characters.validation, validation),
    "",
    ...lengthLines(train),
    ...unusedLines(unused),
  ];
}

function unusedLines(unused: DataDescription["unused"]): string[] {
  const described = describeUnused(unused);
  return described === "" ? [] : [`not used    ${described}`];
}

function lengthLines(counts: TokenCounts | null): string[] {
  if (counts === null || counts.lengths === null) return [];
  const { lengths, truncation } = counts;
  const cut =
    truncation.samples === 0
      ? "none"
      : `${truncation.samples} training samples, leaving out ${truncation.tokens} tokens`;
  return [`lengths     ${lengths.min} to ${lengths.max} tokens, median ${lengths.median}`, `cut         ${cut}`];
}

/**
 * The first sample: scored tokens green and the others dim; without colours, scored tokens in brackets.
 */
function sampleLines(
  tokens: readonly SampleToken[],
  hidden: number,
  tokenizer: Tokenizer | undefined,
  style: Style,
): string[] {
  if (tokens.length === 0) return [];
  const hasColour = style.green("") !== "";
  const runs: { isScored: boolean; ids: number[] }[] = [];
  for (const { id, isScored } of tokens) {
    const last = runs.at(-1);
    if (last?.isScored === isScored) last.ids.push(id);
    else runs.push({ isScored, ids: [id] });
  }
  const shown = runs.map(({ isScored, ids }) => {
    const text = tokenizer === undefined ? ids.join(" ") : withoutControls(tokenizer.decode(ids));
    if (hasColour) return isScored ? style.green(text) : style.dim(text);
    return isScored ? `[${text}]` : text;
  });
  const note = hasColour ? "scored tokens in green" : "scored tokens in brackets";
  const rest = hidden > 0 ? ` … (${hidden} more tokens)` : "";
  return [`the first training sample, ${note}:`, `${shown.join(tokenizer === undefined ? " " : "")}${rest}`];
}
