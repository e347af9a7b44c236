import { availableMemoryBytes, cpuCount, exists, residentMemoryBytes, sha256 } from "#platform";
import { ConfigError, DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { findTurnEnd } from "../chats/turn-end.js";
import { type DataFacts, derive, type OpenSettings } from "../config/derive.js";
import { completeSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { BatchCursor, rowsWithin } from "../data/cursor.js";
import type { OpenDataset } from "../data/dataset.js";
import type { TokenCounts } from "../data/encoded-data.js";
import { evaluationBatches, evaluationRowCount } from "../data/evaluation-batches.js";
import { asRows, type BatchShapes, type Rows } from "../data/packing.js";
import { isChat, NEWEST_RULES, type ReadingRules } from "../data/records.js";
import { ALONE } from "../distributed/collective.js";
import { locateData, shownData } from "../hub/locate-data.js";
import { endingAt, runCompanions } from "../loading/companions.js";
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
import { WITHOUT_TOKENS } from "../tokenizers/model-tokenizer.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { type AdapterStart, openAdapterStart } from "./adapter-start.js";
import { findHeldOutPrompts, type HeldOutPrompt } from "./held-out-prompts.js";
import { fitMemory } from "./memory-fit.js";
import { requireBatchMemory } from "./memory-limit.js";
import { unreachableLoss } from "./reachable-loss.js";
import { type DataRequest, type PreparationEvents, type ReadData, readData } from "./read-data.js";
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
  /** The data before they were cut to rows. */
  readonly read: ReadData;
  /** SHA-256 of the tokens and labels to train on and those held out. */
  readonly dataSha256: string;
  /** SHA-256 of the tokens and labels held out. */
  readonly heldOutSha256: string;
  /** Rules by which the files of the data became records. */
  readonly readingRules: ReadingRules;
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
 * @param kept finds the data as tokens that an earlier process has kept.
 * @throws ConfigError, DataError or CheckpointError for everything that would stop the run.
 */
export async function prepareRun(
  given: OpenSettings,
  saved?: Pick<SavedRun, "source" | "baseFolder"> & { readonly state: Pick<RunState, "readingRules"> },
  events?: PreparationEvents,
  available?: number,
  kept?: (request: DataRequest) => Promise<ReadData | null>,
): Promise<PreparedRun> {
  const { seed } = given;
  const located = saved === undefined ? await locateModels(given, events) : undefined;
  const folder = located?.modelFolder ?? null;
  const isGoingOn = located !== undefined && located.adapterFolder !== null && folder !== null;
  const start = isGoingOn ? await openAdapterStart(located.adapterFolder!, folder, located.settings, events) : null;
  const asked = start?.settings ?? located?.settings ?? given;
  const opened =
    saved?.source ?? (folder === null ? undefined : await folderSource(folder, start === null ? events : {}));
  const readingRules = saved?.state.readingRules ?? NEWEST_RULES;
  const [data, validData] = [
    await locateData(asked.data, events),
    asked.validData === null ? null : await locateData(asked.validData, events),
  ];
  if (saved !== undefined) {
    await requireThere(data.source, "data");
    if (validData !== null) await requireThere(validData.source, "validData");
  }
  const { hiddenSize, maxSequenceLength: modelLength } = opened?.build().config ?? {};
  const request: DataRequest = {
    ...{ data, validData, asked, events, rules: readingRules },
    modelFacts: {
      ...(hiddenSize !== undefined && { hiddenSize }),
      ...(modelLength !== undefined && { modelLength }),
    },
    place: saved === undefined ? { tokenizerFolder: located!.tokenizerFolder } : { baseFolder: saved.baseFolder },
  };
  const read = (await kept?.(request)) ?? (await readData(request));
  const { seen, tokenizer, chatDate, summary, tokenized } = read;
  // What stands in the base of a run has become its own.
  const others = saved === undefined ? asked : { tokenizer: null, chatTemplate: null };
  const files = await runCompanions(tokenizer, saved?.baseFolder ?? folder, others);
  const turnEnd = tokenizer !== null && isChat(summary.kind) ? await findTurnEnd(tokenizer) : undefined;
  // The token that ends the assistant's turns in training ends a text that the model writes.
  const companions = turnEnd === undefined ? files : endingAt(files, [turnEnd]);
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
      : await sampleChatOf(summary, tokenizer, settings, model.config.maxSequenceLength, turnEnd);
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
      chosen: asked.validData !== null ? "named" : summary.isSplit ? "files" : "share",
      evaluationRows,
      rows: heldOutRows.count,
    },
    sampleChat,
    example: exampleOf(summary, sampleChat),
    heldOutPrompts:
      tokenizer === null
        ? []
        : await findHeldOutPrompts(summary.heldOut, heldOutRows, {
            tokenizer,
            settings,
            turnEnd,
            context: model.config.maxSequenceLength,
          }),
    dataWords: {
      source: shownData(data),
      unit: summary.unit,
      form:
        summary.loadedKind === summary.kind ? null : QUESTION_FORMS[summary.kind === "messages" ? "chats" : "texts"],
    },
    unused: summary.unused,
    readingRules,
    read,
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
  return { train: trainRows.shapeOf(batchSize, true), heldOut: heldOutRows.shapeOf(batchSize) };
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
