import { cpuCount, exists, sha256 } from "#platform";
import { isModelPreset, MODEL_PRESETS } from "../config/presets.js";
import type { Settings } from "../config/settings.js";
import { type Corpus, loadCorpus } from "../data/corpus.js";
import { BatchCursor } from "../data/cursor.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import type { Batch, TokenStream } from "../data/packing.js";
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
  /** Tokens of the training split. */
  readonly trainTokens: number;
  /** Of the tokens to train on and those held out. */
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
  const corpus = await loadCorpus(settings.data, { validationFraction: settings.validationFraction, seed });
  const tokenizer = await (saved === undefined
    ? tokenizerFor(settings, corpus)
    : Tokenizer.fromFolder(saved.baseFolder));
  const [train, validation] = splitTokens(tokenizer, corpus, settings);
  const cursor = new BatchCursor(train, { sequenceLength, batchSize, seed });
  const start = cursor.position;
  const calibration = cursor.next();
  cursor.seek(start);
  const heldOut = [...evaluationBatches(validation, { sequenceLength, batchSize, maxTokens: evalTokens })];
  const { vocabSize } = tokenizer;
  const sizes = { vocabSize, maxSequenceLength: sequenceLength, endOfTextId: tokenizer.endOfTextId };
  const modelSource = opened ?? presetSource(name, sizes, seed);
  const model = modelSource.build();
  checkFit(model, tokenizer, settings);
  return {
    source: modelSource,
    model,
    quantizer: frozenQuantizer(model, settings),
    tokenizer,
    cursor,
    calibration,
    heldOut,
    trainTokens: train.length,
    dataSha256: sha256([bytesOf(train), bytesOf(validation)]),
    threads: settings.threads ?? cpuCount(),
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: TokenStream): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

async function tokenizerFor(settings: Settings, { train }: Corpus): Promise<Tokenizer> {
  const { model, vocabSize, sequenceLength: maxLength } = settings;
  const source = settings.tokenizer ?? (isModelPreset(model) ? null : model);
  return source === null ? trainTokenizer(train, { vocabSize, maxLength }) : Tokenizer.fromFolder(source);
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

/** Training and held-out tokens. A source that is one document is cut near its end. */
function splitTokens(
  tokenizer: Tokenizer,
  { name, train, validation }: Corpus,
  { validationFraction }: Settings,
): [train: TokenStream, validation: TokenStream] {
  const tokens = tokenizer.encodeDocuments(train);
  if (validation.length > 0) return [tokens, tokenizer.encodeDocuments(validation)];
  const held = Math.max(2, Math.floor(tokens.length * validationFraction));
  if (tokens.length <= held) {
    throw new DataError(`${name}: has ${tokens.length} tokens, too few to hold some out; bring more data`);
  }
  return [tokens.subarray(0, tokens.length - held), tokens.subarray(tokens.length - held)];
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
