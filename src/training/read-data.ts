import { exists, joinPath } from "#platform";
import { ChatTemplate, today } from "../chats/chat-template.js";
import { type DataFacts, derive, type OpenSettings } from "../config/derive.js";
import { asAskedOf, describeUnused, type OpenDataset, openDataset } from "../data/dataset.js";
import { type TokenizedRecords, tokenizeDataset, tokenizedOf } from "../data/encoded-data.js";
import { holdOut, validatedBy } from "../data/hold-out.js";
import type { Packing } from "../data/packing.js";
import { sampledTexts } from "../data/record-texts.js";
import { type DataKind, type DataRecord, isChat, type ReadingRules } from "../data/records.js";
import { isGgufName } from "../gguf/open-gguf.js";
import type { LocatedData } from "../hub/locate-data.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { readTokenizer } from "../loading/companions.js";
import { withTemplate } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { SAMPLE_BYTES, trainTokenizer } from "../tokenizers/train-tokenizer.js";
import type { DataSummary, TokenCache, TokenInputs } from "./token-cache.js";

/** The present work on large data before training, and how much of it is done. */
export interface DataProgress {
  /** `sampling`: for a tokenizer that is learned from the text. */
  readonly stage: "reading" | "splitting" | "sampling" | "encoding";
  /** Part of it that is done, from 0 to 1. */
  readonly share: number;
}

export interface PreparationEvents extends DownloadEvents {
  /** Called while large data are read, for each 4 MiB or so. */
  readonly onPreparing?: ((progress: DataProgress) => void) | undefined;
}

/** Data to read for a run. */
export interface DataRequest {
  readonly data: LocatedData;
  readonly validData: LocatedData | null;
  readonly asked: OpenSettings;
  readonly rules: ReadingRules;
  /** What the model decides of the settings. */
  readonly modelFacts: DataFacts;
  /** Where the tokenizer is: of a run that goes on, or of one that begins; null for one that is yet to be trained. */
  readonly place: { readonly baseFolder: string } | { readonly tokenizerFolder: string | null };
  readonly events: PreparationEvents | undefined;
}

/** Data as tokens, and what they decide. */
export interface ReadData {
  /** The settings with what the number of records decides. */
  readonly seen: OpenSettings;
  readonly tokenizer: Tokenizer | null;
  readonly chatDate: string | null;
  readonly summary: DataSummary;
  readonly tokenized: { readonly train: TokenizedRecords; readonly validation: TokenizedRecords };
  readonly inputs: TokenInputs;
  /** True if an earlier process has encoded them. */
  readonly isKept: boolean;
}

/** Reads and encodes data. @throws ConfigError, DataError or CheckpointError for what cannot be read. */
export async function readData(request: DataRequest): Promise<ReadData> {
  const { data, validData, asked, rules, modelFacts, place, events } = request;
  let stage: DataProgress["stage"] = "reading";
  const onProgress = (share: number): void => events?.onPreparing?.({ stage, share });
  const reading = { rules, document: asked.document, columns: asked.columns, onProgress };
  const loaded = await openDataset(data.source, { ...reading, config: data.config });
  const isNew = !("baseFolder" in place);
  // A name of the hub means the same at any time with its commit.
  const pinned = isNew ? { data: data.name, validData: validData?.name ?? null } : {};
  const seen = derive({ ...asked, ...pinned }, { records: loaded.train.count, ...modelFacts });
  const validationFraction = seen.validationFraction!;
  stage = validData === null ? "splitting" : "reading";
  const split =
    validData === null
      ? await holdOut(loaded, { validationFraction, seed: asked.seed })
      : validatedBy(loaded, await openDataset(validData.source, { ...reading, config: validData.config }));
  stage = "sampling";
  const stored = await (isNew
    ? tokenizerFor(seen, place.tokenizerFolder, split)
    : storedTokenizer(place.baseFolder, split.kind === "token rows"));
  const tokenizer = withSurround(stored, asked);
  const dataset = asAskedOf(split, tokenizer);
  const chatDate = isNew ? (asked.chatDate ?? startDate(dataset, tokenizer)) : asked.chatDate;
  stage = "encoding";
  const tokenized = await tokenizeDataset(dataset, tokenizer ?? undefined, {
    packing: packingOf(request, dataset.kind),
    trainOnInputs: asked.trainOnInputs,
    chatDate,
    scoredTurns: rules === 1 ? "reply" : "whole",
    validationFraction,
  });
  const summary: DataSummary = {
    kind: dataset.kind,
    loadedKind: loaded.kind,
    unit: dataset.unit,
    unused: describeUnused(dataset.unused),
    isSplit: loaded.validation.count > 0,
    first: await firstRecord(dataset),
    heldOut: await heldOutRecords(dataset),
  };
  const inputs = inputsOf(request, tokenizer, { validationFraction, chatDate });
  return { seen, tokenizer, chatDate, summary, tokenized, inputs, isKept: false };
}

/** The data of a run that goes on, as it has kept them; null if it has not. */
export async function findData(request: DataRequest, cache: TokenCache, run: string): Promise<ReadData | null> {
  const { asked, modelFacts, place } = request;
  if (!("baseFolder" in place) || asked.validationFraction === undefined) return null;
  const tokenizer = withSurround(await storedTokenizer(place.baseFolder, true), asked);
  const { chatDate, validationFraction } = asked;
  const inputs = inputsOf(request, tokenizer, { validationFraction, chatDate });
  const found = await cache.find(run, inputs);
  if (found === null) return null;
  const packing = packingOf(request, found.summary.kind);
  const tokenized = {
    train: tokenizedOf(found.train, { packing }),
    validation: tokenizedOf(found.validation, { packing }),
  };
  return {
    seen: derive(asked, modelFacts),
    tokenizer,
    chatDate,
    summary: found.summary,
    tokenized,
    inputs,
    isKept: true,
  };
}

function inputsOf(
  { data, validData, rules, asked }: DataRequest,
  tokenizer: Tokenizer | null,
  known: { readonly validationFraction: number; readonly chatDate: string | null },
): TokenInputs {
  return { data, validData, tokenizer, rules, settings: { ...asked, ...known } };
}

function packingOf({ asked: { packing }, rules }: DataRequest, kind: DataKind): Packing {
  return packing === "auto" && rules < 3 && kind !== "text" ? "none" : packing;
}

function withSurround(stored: Tokenizer | null, { addSpecialTokens }: OpenSettings): Tokenizer | null {
  return addSpecialTokens ? stored : (stored?.withoutSurround() ?? null);
}

/** The first record that is held out, or of those to train on where a text is cut near its end. */
async function firstRecord({ train, validation }: OpenDataset): Promise<DataRecord> {
  return (await validation.first(1))[0] ?? (await train.first(1))[0]!;
}

/** Held-out records that are looked at for prompts. */
const LOOKED_AT = 12;
/** UTF-16 units that are kept of a text. */
const BEGINNING = 2000;

async function heldOutRecords({ kind, validation }: OpenDataset): Promise<DataRecord[]> {
  if (kind === "token rows") return [];
  const records = await validation.first(LOOKED_AT);
  return records.map((record) =>
    record.kind === "text" ? { ...record, text: record.text.slice(0, BEGINNING) } : record,
  );
}

async function tokenizerFor(
  settings: OpenSettings,
  folder: string | null,
  dataset: OpenDataset,
): Promise<Tokenizer | null> {
  const { vocabSize, sequenceLength: maxLength, chatTemplate } = settings;
  if (folder === null && dataset.kind === "token rows") return null;
  const tokenizer =
    folder === null
      ? trainTokenizer(await sampledTexts(dataset.train, SAMPLE_BYTES), { vocabSize, maxLength: maxLength! })
      : await storedTokenizer(folder, settings.tokenizer === null && dataset.kind === "token rows");
  return tokenizer === null ? null : withTemplate(tokenizer, chatTemplate);
}

/** The day on which a run begins, if its data are rendered by a template that writes it. */
function startDate({ kind }: OpenDataset, tokenizer: Tokenizer | null): string | null {
  return tokenizer !== null && isChat(kind) && ChatTemplate.of(tokenizer)?.readsDate ? today() : null;
}

/** The tokenizer of a folder; null if it has none and may do without. */
async function storedTokenizer(folder: string, mayLack: boolean): Promise<Tokenizer | null> {
  const hasFiles = isGgufName(folder) || (await exists(joinPath(folder, "tokenizer.json")));
  return mayLack && !hasFiles ? null : readTokenizer(folder);
}
