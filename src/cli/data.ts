import type { Command } from "commander";
import { SETTINGS } from "../config/settings.js";
import { trainBytePairEncoding } from "../data/bpe-trainer.js";
import { type Corpus, loadCorpus } from "../data/corpus.js";
import { Tokenizer } from "../data/tokenizer.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { cutToWidth, singleLine } from "./terminal.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  tokenizer: {
    type: "string",
    default: null,
    none: "one is trained on the data",
    help: SETTINGS.tokenizer.help,
  },
  vocabSize: SETTINGS.vocabSize,
  validationFraction: SETTINGS.validationFraction,
  seed: SETTINGS.seed,
} as const satisfies OptionTable;

const FORMATS: Readonly<Record<Corpus["format"], string>> = {
  builtin: "built-in text",
  folder: "folder of text files",
  txt: "plain text, documents are paragraphs",
  md: "Markdown, documents are sections",
  jsonl: 'JSON lines with "text"',
};

/** Longer samples are cut: they are to be looked at. */
const SAMPLE_TOKENS = 64;

/** What `train` learns its tokenizer from. */
const TOKENIZER_SAMPLE_BYTES = 4_000_000;

/** `highrank data FILE` */
export function addData(program: Command, context: Context): void {
  const command = addVerb(program, "data", "show what is read from training text").argument(
    "<FILE>",
    SETTINGS.data.help,
  );
  addOptions(command, OPTIONS);
  command.action(async (source: string) => {
    const { tokenizer: tokenizerPath, vocabSize, validationFraction, seed } = readOptions(command, OPTIONS);
    const corpus = await loadCorpus(source, { validationFraction, seed });
    const tokenizer =
      tokenizerPath === null
        ? Tokenizer.fromJson(trainBytePairEncoding(corpus.train, { vocabSize, sampleBytes: TOKENIZER_SAMPLE_BYTES }))
        : await Tokenizer.fromFolder(tokenizerPath);
    const side = (documents: readonly string[]) => ({
      documents: documents.length,
      characters: documents.reduce((sum, document) => sum + document.length, 0),
      tokens: tokenizer.encodeDocuments(documents).length,
    });
    const found = {
      source,
      format: corpus.format,
      vocabSize: tokenizer.vocabSize,
      train: side(corpus.train),
      validation: side(corpus.validation),
      sample: sampleOf(corpus.train[0]!, tokenizer),
    };
    const row = (...cells: readonly (string | number)[]): string =>
      cells.map((cell, index) => (index === 0 ? `${cell}`.padEnd(10) : `${cell}`.padStart(13))).join("");
    const sideRow = (name: string, { documents, characters, tokens }: typeof found.train): string =>
      row(name, documents, characters, tokens);
    const columns = context.terminal.columns ?? 80;
    context.result(found, () => [
      `format      ${FORMATS[corpus.format]}`,
      `vocabulary  ${found.vocabSize} tokens, ${tokenizerPath ?? "trained on this data"}`,
      "",
      row("", "documents", "characters", "tokens"),
      sideRow("train", found.train),
      sideRow("held-out", found.validation),
      "",
      "the first document, of which every token is scored:",
      cutToWidth(singleLine(corpus.train[0]!), columns),
      "",
      "its first tokens:",
      cutToWidth(found.sample.pieces.map((piece) => JSON.stringify(piece).slice(1, -1)).join("|"), columns),
    ]);
  });
}

/** The first tokens of a document as a model sees them; a mask of 1 says that the token's loss counts. */
function sampleOf(document: string, tokenizer: Tokenizer): { tokens: number[]; pieces: string[]; lossMask: number[] } {
  const tokens = [...tokenizer.encodeDocuments([document])].slice(0, SAMPLE_TOKENS);
  return { tokens, pieces: tokens.map((token) => tokenizer.decode([token])), lossMask: tokens.map(() => 1) };
}
