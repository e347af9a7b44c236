import { availableMemoryBytes, cpuCount, residentMemoryBytes, sha256 } from "#platform";
import { ConfigError, DataError } from "../base/errors.js";
import type { Settings } from "../config/settings.js";
import { readTemplateFile } from "../data/chat-template.js";
import { BatchCursor } from "../data/cursor.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { encodeDataset, type TokenCounts } from "../data/encoded-data.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import { textOfRecord } from "../data/records.js";
import { Tokenizer } from "../data/tokenizer.js";
import { trainTokenizer } from "../data/train-tokenizer.js";
import { findTurnEnd } from "../data/turn-end.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { endingAt, runCompanions } from "../loading/companions.js";
import type { CompanionFiles } from "../loading/model-source.js";
import { folderSource, type ModelSource, presetSource } from "../loading/model-source.js";
import { locateModels } from "../loading/named-models.js";
import { frozenQuantizer } from "../loading/quantizing.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { TrainedRun } from "../relora/compiled-phase.js";
import { requireBatchMemory } from "./memory-limit.js";

/**
 * A run's model, built from its source with weights still to be read, and its data. Nothing has been written yet.
 */
export interface PreparedRun extends TrainedRun {
  readonly source: ModelSource;
  /** Files beside the weights in the folders that the run writes. */
  readonly companions: CompanionFiles;
  /** True for packed text, of which no sample stands by itself. */
  readonly isStream: boolean;
  /** Sizes of the training split. */
  readonly trainCounts: TokenCounts;
  /** SHA-256 of the tokens and labels to train on and those held out. */
  readonly dataSha256: string;
}

/**
 * Loads data and tokenizer, and opens the model, which is downloaded where it is named by its name on the hub.
 * @param saved the run that is to go on: its base and its tokenizer stand in for those that the settings name.
 * @throws ConfigError, DataError or CheckpointError for everything that would stop the run.
 */
export async function prepareRun(
  given: Settings,
  saved?: { readonly source: ModelSource; readonly baseFolder: string },
  events?: DownloadEvents,
): Promise<PreparedRun> {
  const { sequenceLength, batchSize, evalTokens, seed } = given;
  const located = saved === undefined ? await locateModels(given, events) : undefined;
  const settings = located?.settings ?? given;
  const folder = located?.modelFolder ?? null;
  const opened = saved?.source ?? (folder === null ? undefined : await folderSource(folder));
  const dataset = await loadDataset(settings.data, { validationFraction: settings.validationFraction, seed });
  const stored = await (saved === undefined
    ? tokenizerFor(settings, located!.tokenizerFolder, dataset)
    : Tokenizer.fromFolder(saved.baseFolder));
  const tokenizer = settings.addSpecialTokens ? stored : stored.withoutSurround();
  // What stands in the base of a run has become its own.
  const others = saved === undefined ? settings : { tokenizer: null, chatTemplate: null };
  const files = await runCompanions(tokenizer, saved?.baseFolder ?? folder, others);
  const companions = await withTurnEnd(files, tokenizer, dataset);
  const { vocabSize, endOfTextId } = tokenizer;
  const sizes = { vocabSize, maxSequenceLength: sequenceLength, endOfTextId };
  const modelSource = opened ?? presetSource(settings.model, sizes, seed);
  const model = modelSource.build();
  requireBatchMemory(model.config, residentMemoryBytes() + availableMemoryBytes(), settings);
  const { train, validation } = await encodeDataset(dataset, tokenizer, settings);
  const [trainRows, heldOutRows] = [train.trainingRows(), validation.evaluationRows()];
  const cursor = new BatchCursor(trainRows, { batchSize, seed });
  const start = cursor.position;
  const calibration = cursor.next();
  cursor.seek(start);
  const heldOut = [...evaluationBatches(heldOutRows, { batchSize, maxTokens: evalTokens })];
  checkFit(model, tokenizer, settings);
  for (const side of [train, validation]) side.requireVocabulary(model.config.vocabSize);
  return {
    settings,
    source: modelSource,
    model,
    quantizer: frozenQuantizer(model, settings),
    tokenizer,
    companions,
    cursor,
    calibration,
    heldOut,
    isStream: train.isStream,
    trainCounts: train.counts,
    dataSha256: sha256([...trainRows.content, ...heldOutRows.content]),
    threads: settings.threads ?? cpuCount(),
  };
}

async function tokenizerFor(settings: Settings, folder: string | null, dataset: Dataset): Promise<Tokenizer> {
  const { vocabSize, sequenceLength: maxLength, chatTemplate } = settings;
  const tokenizer =
    folder === null ? trainTokenizer(textsOf(dataset), { vocabSize, maxLength }) : await Tokenizer.fromFolder(folder);
  return chatTemplate === null ? tokenizer : tokenizer.withChatTemplate(await readTemplateFile(chatTemplate));
}

/** What ends the assistant's turns in training ends a text that the model writes. */
async function withTurnEnd(files: CompanionFiles, tokenizer: Tokenizer, { kind }: Dataset): Promise<CompanionFiles> {
  const turnEnd = kind.endsWith("messages") ? await findTurnEnd(tokenizer) : undefined;
  return turnEnd === undefined ? files : endingAt(files, [turnEnd]);
}

/** @throws DataError where the data has no text for a tokenizer to learn from. */
function textsOf({ name, kind, train }: Dataset): string[] {
  if (kind === "token rows")
    throw new DataError(`${name}: holds tokens; name the tokenizer that made them (--tokenizer)`);
  return train.map((record) => textOfRecord(record) ?? "");
}

function checkFit(model: CausalLM, tokenizer: Tokenizer, { model: source, sequenceLength }: Settings): void {
  const { vocabSize, maxSequenceLength } = model.config;
  const faults: string[] = [];
  if (tokenizer.storedVocabSize > vocabSize) {
    faults.push(
      `tokenizer: has ${tokenizer.storedVocabSize} tokens, the model ${source} embeds ${vocabSize}; name the model's own`,
    );
  }
  if (sequenceLength > maxSequenceLength) {
    faults.push(`sequenceLength: must be at most ${maxSequenceLength}, the length of ${source}, got ${sequenceLength}`);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
}
