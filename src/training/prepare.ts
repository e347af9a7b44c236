import { cpuCount, exists, sha256 } from "#platform";
import { isModelPreset, MODEL_PRESETS } from "../config/presets.js";
import type { Settings } from "../config/settings.js";
import { readTemplateFile } from "../data/chat-template.js";
import { BatchCursor } from "../data/cursor.js";
import { type Dataset, loadDataset } from "../data/dataset.js";
import { encodeDataset, type TokenCounts } from "../data/encoded-data.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import type { Batch } from "../data/packing.js";
import { textOfRecord } from "../data/records.js";
import { Tokenizer } from "../data/tokenizer.js";
import { trainTokenizer } from "../data/train-tokenizer.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Quantizer } from "../quant/quantizer.js";
import { ConfigError, DataError } from "../tensor/errors.js";
import { suggest } from "../tensor/suggest.js";
import { folderSource, type ModelSource, presetSource } from "./model-source.js";
import { frozenQuantizer } from "./quantizing.js";

/** What a run trains and on what. Nothing has been written yet. */
export interface PreparedRun {
  readonly source: ModelSource;
  /** Built from the source; its weights are still to be read. */
  readonly model: CausalLM;
  /** What holds the frozen weights under the adapters; null for float32. */
  readonly quantizer: Quantizer | null;
  readonly tokenizer: Tokenizer;
  readonly cursor: BatchCursor;
  /** Training data to look at what layers are fed. */
  readonly calibration: Batch;
  /** The held-out batches of every evaluation. */
  readonly heldOut: readonly Batch[];
  /** Whether text is packed, and so no sample stands by itself. */
  readonly isStream: boolean;
  /** What the training split holds. */
  readonly trainCounts: TokenCounts;
  /** Of the tokens and labels to train on and those held out. */
  readonly dataSha256: string;
  readonly threads: number;
}

/**
 * Loads data and tokenizer, and opens the model.
 * @param saved the run that is to go on: its base and its tokenizer stand in for those that the settings name.
 * @throws ConfigError, DataError or CheckpointError for all that would stop the run.
 */
export async function prepareRun(
  settings: Settings,
  saved?: { readonly source: ModelSource; readonly baseFolder: string },
): Promise<PreparedRun> {
  const { model: name, sequenceLength, batchSize, evalTokens, seed } = settings;
  if (saved === undefined) await requireModel(name);
  const opened = saved?.source ?? (isModelPreset(name) ? undefined : await folderSource(name));
  const dataset = await loadDataset(settings.data, { validationFraction: settings.validationFraction, seed });
  const tokenizer = await (saved === undefined
    ? tokenizerFor(settings, dataset)
    : Tokenizer.fromFolder(saved.baseFolder));
  const { train, validation } = await encodeDataset(dataset, tokenizer, settings);
  const [trainRows, heldOutRows] = [train.trainingRows(), validation.evaluationRows()];
  const cursor = new BatchCursor(trainRows, { batchSize, seed });
  const start = cursor.position;
  const calibration = cursor.next();
  cursor.seek(start);
  const heldOut = [...evaluationBatches(heldOutRows, { batchSize, maxTokens: evalTokens })];
  const { vocabSize } = tokenizer;
  const sizes = { vocabSize, maxSequenceLength: sequenceLength, endOfTextId: tokenizer.endOfTextId };
  const modelSource = opened ?? presetSource(name, sizes, seed);
  const model = modelSource.build();
  checkFit(model, tokenizer, settings);
  for (const side of [train, validation]) side.requireVocabulary(model.config.vocabSize);
  return {
    source: modelSource,
    model,
    quantizer: frozenQuantizer(model, settings),
    tokenizer,
    cursor,
    calibration,
    heldOut,
    isStream: train.isStream,
    trainCounts: train.counts,
    dataSha256: sha256([...trainRows.content, ...heldOutRows.content]),
    threads: settings.threads ?? cpuCount(),
  };
}

async function tokenizerFor(settings: Settings, dataset: Dataset): Promise<Tokenizer> {
  const { model, vocabSize, sequenceLength: maxLength, chatTemplate } = settings;
  const source = settings.tokenizer ?? (isModelPreset(model) ? null : model);
  const tokenizer =
    source === null ? trainTokenizer(textsOf(dataset), { vocabSize, maxLength }) : await Tokenizer.fromFolder(source);
  return chatTemplate === null ? tokenizer : tokenizer.withChatTemplate(await readTemplateFile(chatTemplate));
}

/** @throws DataError where the data has no text for a tokenizer to learn from. */
function textsOf({ name, kind, train }: Dataset): string[] {
  if (kind === "token rows")
    throw new DataError(`${name}: holds tokens; name the tokenizer that made them (--tokenizer)`);
  return train.map((record) => textOfRecord(record) ?? "");
}

/** @throws ConfigError for a name that is neither a preset nor anything on disk; a path that leads nowhere fails on loading. */
async function requireModel(model: string): Promise<void> {
  if (isModelPreset(model) || model.includes("/") || (await exists(model))) return;
  const presets = Object.keys(MODEL_PRESETS);
  const nearest = suggest(model, presets);
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  throw new ConfigError(
    `model: "${model}" is neither a model folder nor one of the presets ${presets.join(", ")}${hint}`,
  );
}

function checkFit(model: CausalLM, tokenizer: Tokenizer, { model: source, sequenceLength }: Settings): void {
  const { vocabSize, maxSequenceLength } = model.config;
  const faults: string[] = [];
  if (tokenizer.vocabSize > vocabSize) {
    faults.push(
      `tokenizer: has ${tokenizer.vocabSize} tokens, the model ${source} embeds ${vocabSize}; name the model's own`,
    );
  }
  if (sequenceLength > maxSequenceLength) {
    faults.push(`sequenceLength: must be at most ${maxSequenceLength}, the length of ${source}, got ${sequenceLength}`);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
}
