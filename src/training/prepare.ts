import { availableMemoryBytes, cpuCount, exists, joinPath, residentMemoryBytes, sha256 } from "#platform";
import { ConfigError, DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { ChatTemplate, today } from "../chats/chat-template.js";
import { findTurnEnd } from "../chats/turn-end.js";
import { type DataFacts, derive, type OpenSettings } from "../config/derive.js";
import { completeSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { BatchCursor, rowsWithin } from "../data/cursor.js";
import { asAskedOf, describeUnused, type OpenDataset, openDataset } from "../data/dataset.js";
import { type TokenCounts, tokenizeDataset } from "../data/encoded-data.js";
import { evaluationBatches, evaluationRowCount } from "../data/evaluation-batches.js";
import { holdOut, validatedBy } from "../data/hold-out.js";
import { asRows, type BatchShapes, type Rows } from "../data/packing.js";
import { sampledTexts } from "../data/record-texts.js";
import { isChat, NEWEST_RULES, type ReadingRules } from "../data/records.js";
import { ALONE } from "../distributed/collective.js";
import { isGgufName } from "../gguf/open-gguf.js";
import { locateData, shownData } from "../hub/locate-data.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { endingAt, readTokenizer, runCompanions } from "../loading/companions.js";
import { folderSource } from "../loading/folder-source.js";
import type { CompanionFiles } from "../loading/model-source.js";
import { type ModelSource, presetSource, tiedNames } from "../loading/model-source.js";
import { locateModels } from "../loading/named-models.js";
import { frozenQuantizer } from "../loading/quantizing.js";
import { extendedSource } from "../loading/resized-source.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { TrainedRun } from "../relora/compiled-phase.js";
import { requireExclusions } from "../relora/settings-adapters.js";
import type { RunState } from "../runs/run-state.js";
import type { SavedRun } from "../runs/saved-run.js";
import { WITHOUT_TOKENS, withTemplate } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { SAMPLE_BYTES, trainTokenizer } from "../tokenizers/train-tokenizer.js";
import { type AdapterStart, openAdapterStart } from "./adapter-start.js";
import { findHeldOutPrompts, type HeldOutPrompt } from "./held-out-prompts.js";
import { fitMemory } from "./memory-fit.js";
import { requireBatchMemory } from "./memory-limit.js";
import { unreachableLoss } from "./reachable-loss.js";
import { type ExamplePrompt, exampleOf, type SampleChat, sampleChatOf } from "./sample-chat.js";

/**
 * A run's model, built from its source with weights still to be read, and its data. Nothing has been written yet.
 */
export interface PreparedRun extends TrainedRun {
  readonly source: ModelSource;
  /** Files beside the weights in the folders that the run writes. */
  readonly companions: CompanionFiles;
  /** True for packed text, of which no sample stands by itself. */
  readonly isStream: boolean;
  /** The adapter that its own go on from; null where they start anew, or have started. */
  readonly start: AdapterStart | null;
  /** Sizes of the training split. */
  readonly trainCounts: TokenCounts;
  /** The loss below which the frozen head keeps the adapters; null where that is low, or not known. */
  readonly unreachable: number | null;
  /** Share of the tokens of its rows that is padding; null for samples one after another. */
  readonly padding: number | null;
  /** The data that evaluations are made on. */
  readonly heldOutData: HeldOutData;
  /** The data in words: what they are, and how their records are taken. */
  readonly dataWords: DataWords;
  /** The chat that samples of text answer; null where they continue a text. */
  readonly sampleChat: SampleChat | null;
  readonly example: ExamplePrompt;
  /** Prompts of the held-out data that are answered at evaluations: at most three, and none without a tokenizer. */
  readonly heldOutPrompts: readonly HeldOutPrompt[];
  /** Keys and files of the data that are not used, in words. */
  readonly unused: string;
  /** SHA-256 of the tokens and labels to train on and those held out. */
  readonly dataSha256: string;
  /** SHA-256 of the tokens and labels held out. */
  readonly heldOutSha256: string;
  /** Rules by which the files of the data became records. */
  readonly readingRules: ReadingRules;
}

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

/** Data that are held out, and the way in which they were chosen. */
export interface HeldOutData {
  readonly counts: TokenCounts;
  /** `files`: as the names in the data's folder say; `named`: those of validData; `share`: drawn, or cut off a text. */
  readonly chosen: "files" | "named" | "share";
  /** Rows of one evaluation, of all that are held out. */
  readonly evaluationRows: number;
  readonly rows: number;
}

/**
 * Loads data and tokenizer, and opens the model, which is downloaded where it is named by its name on the hub. The run
 * is that of this process alone.
 * @param saved the run that is to go on: its base and its tokenizer stand in for those that the settings name.
 * @param available bytes that the process may hold in all; by default those that it holds and that can still be taken.
 * @throws ConfigError, DataError or CheckpointError for everything that would stop the run.
 */
export async function prepareRun(
  given: OpenSettings,
  saved?: Pick<SavedRun, "source" | "baseFolder"> & { readonly state: Pick<RunState, "readingRules"> },
  events?: PreparationEvents,
  available?: number,
): Promise<PreparedRun> {
  let stage: DataProgress["stage"] = "reading";
  const { seed } = given;
  const located = saved === undefined ? await locateModels(given, events) : undefined;
  const folder = located?.modelFolder ?? null;
  const isGoingOn = located !== undefined && located.adapterFolder !== null && folder !== null;
  const start = isGoingOn ? await openAdapterStart(located.adapterFolder!, folder, located.settings, events) : null;
  const asked = start?.settings ?? located?.settings ?? given;
  const opened =
    saved?.source ?? (folder === null ? undefined : await folderSource(folder, start === null ? events : {}));
  const readingRules = saved?.state.readingRules ?? NEWEST_RULES;
  const { document, columns } = asked;
  const [data, validData] = [
    await locateData(asked.data, events),
    asked.validData === null ? null : await locateData(asked.validData, events),
  ];
  if (saved !== undefined) {
    await requireThere(data.source, "data");
    if (validData !== null) await requireThere(validData.source, "validData");
  }
  const onProgress = (share: number): void => events?.onPreparing?.({ stage, share });
  const reading = { rules: readingRules, document, columns, onProgress };
  const loaded = await openDataset(data.source, { ...reading, config: data.config });
  const { hiddenSize, maxSequenceLength: modelLength } = opened?.build().config ?? {};
  // A name of the hub means the same at any time with its commit.
  const pinned = saved === undefined ? { data: data.name, validData: validData?.name ?? null } : {};
  const seen = derive(
    { ...asked, ...pinned },
    {
      records: loaded.train.count,
      ...(hiddenSize !== undefined && { hiddenSize }),
      ...(modelLength !== undefined && { modelLength }),
    },
  );
  const validationFraction = seen.validationFraction!;
  stage = validData === null ? "splitting" : "reading";
  const split =
    validData === null
      ? await holdOut(loaded, { validationFraction, seed })
      : validatedBy(loaded, await openDataset(validData.source, { ...reading, config: validData.config }));
  stage = "sampling";
  const stored = await (saved === undefined
    ? tokenizerFor(seen, located!.tokenizerFolder, split)
    : storedTokenizer(saved.baseFolder, split));
  const tokenizer = asked.addSpecialTokens ? stored : (stored?.withoutSurround() ?? null);
  const dataset = asAskedOf(split, tokenizer);
  const chatDate = saved === undefined ? (asked.chatDate ?? startDate(dataset, tokenizer)) : asked.chatDate;
  // What stands in the base of a run has become its own.
  const others = saved === undefined ? asked : { tokenizer: null, chatTemplate: null };
  const files = await runCompanions(tokenizer, saved?.baseFolder ?? folder, others);
  const turnEnd = tokenizer !== null && isChat(dataset.kind) ? await findTurnEnd(tokenizer) : undefined;
  // The token that ends the assistant's turns in training ends a text that the model writes.
  const companions = turnEnd === undefined ? files : endingAt(files, [turnEnd]);
  const { trainOnInputs } = asked;
  const packing = asked.packing === "auto" && readingRules < 3 && dataset.kind !== "text" ? "none" : asked.packing;
  const scoredTurns = readingRules === 1 ? "reply" : "whole";
  const tokenizing = { packing, trainOnInputs, chatDate, scoredTurns, validationFraction } as const;
  stage = "encoding";
  const tokenized = await tokenizeDataset(dataset, tokenizer ?? undefined, tokenizing);
  const { longestRow, textTokens } = tokenized.train;
  const longest = longestRow === undefined ? undefined : Math.max(longestRow, tokenized.validation.longestRow ?? 0);
  const sized = derive(seen, {
    ...(modelLength !== undefined && { modelLength }),
    ...(longest !== undefined && { longestRow: longest }),
    ...(textTokens !== undefined && { textTokens }),
  });
  const { vocabSize, endOfTextId } = tokenizer ?? { vocabSize: asked.vocabSize, endOfTextId: null };
  const sizes = { vocabSize, maxSequenceLength: sized.sequenceLength!, endOfTextId };
  const learnsNew = start === null && tokenizer !== null && tokenizer.newTokens.length > 0;
  const modelSource =
    opened === undefined
      ? presetSource(asked.model, sizes, seed)
      : learnsNew
        ? withNewRows(opened, tokenizer, seen)
        : opened;
  const model = modelSource.build();
  if (saved === undefined && asked.method !== "full") requireExclusions(model, asked);
  checkFit(model, tokenizer, { model: asked.model, sequenceLength: sized.sequenceLength! });
  const cutTo = (length: number) => {
    const [train, validation] = [tokenized.train.cut(length), tokenized.validation.cut(length)];
    const [trainRows, heldOutRows] = [train.trainingRows(), validation.evaluationRows()];
    const evaluationRows = evaluationRowCount(heldOutRows, asked.evalTokens);
    const complete = (facts: DataFacts): Settings => {
      const within = (tokens: number): number => rowsWithin(tokens, trainRows, seed);
      const known = { rowsPerEpoch: trainRows.count, rowsWithin: within, evaluationRows, ...facts };
      return { ...completeSettings({ ...sized, sequenceLength: length }, known), chatDate };
    };
    return { train, validation, trainRows, heldOutRows, evaluationRows, complete };
  };
  const memory = available ?? residentMemoryBytes() + availableMemoryBytes();
  let cut = cutTo(sized.sequenceLength!);
  let settings = cut.complete({});
  // What was not asked for gives way where memory is short: the rows of a pass, then their length.
  if (seen.batchSize === undefined) {
    const shapes = shapesOf(cut, settings);
    const { fittingRows, rowLength } = fitMemory(modelSource.build, settings, shapes, memory);
    if (rowLength < settings.sequenceLength && seen.sequenceLength === undefined) cut = cutTo(rowLength);
    settings = cut.complete({ fittingRows });
  }
  const { train, validation, trainRows, heldOutRows, evaluationRows } = cut;
  const { batchSize, evalTokens } = settings;
  const shapes = shapesOf(cut, settings);
  requireBatchMemory(model.config, memory, shapes.train, settings);
  const cursor = new BatchCursor(trainRows, { batchSize, seed });
  const first = cursor.position;
  const calibration = asRows(cursor.next());
  cursor.seek(first);
  const heldOut = [...evaluationBatches(heldOutRows, { batchSize, maxTokens: evalTokens })];
  for (const side of [train, validation]) side.requireVocabulary(model.config.vocabSize);
  const sampleChat =
    readingRules === 1
      ? null // As such runs began.
      : await sampleChatOf(dataset, tokenizer, settings, model.config.maxSequenceLength, turnEnd);
  return {
    settings,
    source: modelSource,
    start,
    model,
    quantizer: frozenQuantizer(model, settings),
    tokenizer,
    companions,
    cursor,
    shapes,
    calibration,
    heldOut,
    isStream: train.isStream,
    trainCounts: train.counts,
    // The table of a preset is drawn, and a run that goes on was told.
    unreachable:
      opened === undefined || saved !== undefined ? null : await unreachableLoss(opened, model, settings, calibration),
    padding: trainRows.padding,
    heldOutData: {
      counts: validation.counts,
      chosen: asked.validData !== null ? "named" : loaded.validation.count > 0 ? "files" : "share",
      evaluationRows,
      rows: heldOutRows.count,
    },
    sampleChat,
    example: await exampleOf(dataset, sampleChat),
    heldOutPrompts:
      tokenizer === null
        ? []
        : await findHeldOutPrompts(dataset, heldOutRows, {
            tokenizer,
            settings,
            turnEnd,
            context: model.config.maxSequenceLength,
          }),
    dataWords: {
      source: shownData(data),
      unit: dataset.unit,
      form: loaded.kind === dataset.kind ? null : QUESTION_FORMS[dataset.kind === "messages" ? "chats" : "texts"],
    },
    unused: describeUnused(dataset.unused),
    readingRules,
    dataSha256: sha256(both(trainRows.content, heldOutRows.content)),
    heldOutSha256: sha256(heldOutRows.content),
    threads: settings.threads ?? cpuCount(),
    ranks: ALONE,
  };
}

function* both<T>(first: Iterable<T>, second: Iterable<T>): Generator<T, void> {
  yield* first;
  yield* second;
}

function shapesOf(
  { trainRows, heldOutRows }: { readonly trainRows: Rows; readonly heldOutRows: Rows },
  { batchSize }: Settings,
): BatchShapes {
  return { train: trainRows.shapeOf(batchSize), heldOut: heldOutRows.shapeOf(batchSize) };
}

/** Data in words, for the head of a run. */
export interface DataWords {
  readonly source: string;
  readonly unit: OpenDataset["unit"];
  /** The form in which questions and answers are taken; null for other data. */
  readonly form: string | null;
}

const QUESTION_FORMS = {
  chats: "questions and answers as chats",
  texts: "questions and answers as texts, since the tokenizer has no chat template",
} as const;

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
      : await storedTokenizer(folder, settings.tokenizer === null ? dataset : null);
  return tokenizer === null ? null : withTemplate(tokenizer, chatTemplate);
}

/** The day on which a run begins, if its data are rendered by a template that writes it. */
function startDate({ kind }: OpenDataset, tokenizer: Tokenizer | null): string | null {
  return tokenizer !== null && isChat(kind) && ChatTemplate.of(tokenizer)?.readsDate ? today() : null;
}

/** The tokenizer of a folder; null if it has none, which is enough for a data set of tokens. */
async function storedTokenizer(folder: string, dataset: OpenDataset | null): Promise<Tokenizer | null> {
  const hasFiles = isGgufName(folder) || (await exists(joinPath(folder, "tokenizer.json")));
  return dataset?.kind === "token rows" && !hasFiles ? null : readTokenizer(folder);
}

/**
 * The model with a row of its tables for each new token of the tokenizer.
 * @throws ConfigError unless these rows are trained.
 */
function withNewRows(source: ModelSource, tokenizer: Tokenizer, settings: OpenSettings): ModelSource {
  const { method, trainModules, chatTemplate } = settings;
  const needed =
    tiedNames(source.build()).head === undefined ? (["embeddings", "head"] as const) : (["embeddings"] as const);
  const isTrained = method === "full" || needed.every((each) => trainModules.includes(each));
  const added = `${optionName("chatTemplate")}: ${chatTemplate} needs ${tokenizer.newTokens.join(", ")}, which the tokenizer lacks`;
  const others = `choose a template that needs no tokens of its own: ${WITHOUT_TOKENS.join(", ")}`;
  if (source.quantized.size > 0) {
    throw new ConfigError(`${added}, and a quantized model gets no new tokens; ${others}`);
  }
  if (!isTrained) {
    throw new ConfigError(
      `${added}, and nothing would train them; add ${optionName("trainModules", needed.join(","))}, or ${others}`,
    );
  }
  return extendedSource(source, tokenizer.vocabSize);
}

function checkFit(
  model: CausalLM,
  tokenizer: Tokenizer | null,
  { model: source, sequenceLength }: Pick<Settings, "model" | "sequenceLength">,
): void {
  const { vocabSize, maxSequenceLength } = model.config;
  const faults: string[] = [];
  if (tokenizer !== null && tokenizer.storedVocabSize > vocabSize) {
    faults.push(
      `${optionName("tokenizer")}: has ${tokenizer.storedVocabSize} tokens, the model ${source} embeds ${vocabSize}; ` +
        "name the model's own",
    );
  }
  if (sequenceLength > maxSequenceLength) {
    faults.push(
      `${optionName("sequenceLength")}: must be at most ${maxSequenceLength}, the length of ${source}, got ` +
        `${sequenceLength}`,
    );
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
}

/** Data of a run that goes on may have been moved since it began, as the run itself may have been. */
async function requireThere(source: string, key: "data" | "validData"): Promise<void> {
  if (source.startsWith("builtin:") || (await exists(source))) return;
  throw new DataError(
    `${source}: the data that the run was begun with are not there; name their place with ${optionName(key)}`,
  );
}
