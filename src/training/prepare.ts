import { cpuCount } from "#platform";
import { MODEL_PRESETS } from "../config/presets.js";
import type { Settings } from "../config/settings.js";
import { trainBytePairEncoding } from "../data/bpe-trainer.js";
import { type Corpus, loadCorpus } from "../data/corpus.js";
import { BatchCursor } from "../data/cursor.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import type { Batch, TokenStream } from "../data/packing.js";
import { Tokenizer, type TokenizerConfig } from "../data/tokenizer.js";
import { tokenizerConfigJson } from "../data/tokenizer-json.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import { writeLlamaConfig } from "../models/llama-config.js";
import { ConfigError, DataError } from "../tensor/errors.js";
import { createPresetModel, loadModel } from "./model-source.js";

/** What a run trains and on what. Nothing has been written yet. */
export interface PreparedRun {
  readonly model: LlamaForCausalLM;
  /** config.json of what the run will write. */
  readonly modelConfig: Readonly<Record<string, unknown>>;
  readonly tokenizer: Tokenizer;
  readonly cursor: BatchCursor;
  /** The held-out batches of every evaluation. */
  readonly heldOut: readonly Batch[];
  /** Tokens of the training split. */
  readonly trainTokens: number;
  readonly threads: number;
}

const END_OF_TEXT = "<|endoftext|>";

/** A tokenizer learns from so much text at most: enough for its merges, and a matter of seconds. */
const TOKENIZER_SAMPLE_BYTES = 4_000_000;

/** Loads data, tokenizer and model. @throws ConfigError, DataError or CheckpointError for all that would stop the run. */
export async function prepareRun(settings: Settings): Promise<PreparedRun> {
  const { model: source, sequenceLength, batchSize, evalTokens, seed } = settings;
  const loaded = isPreset(source) ? undefined : await loadModel(source);
  const corpus = await loadCorpus(settings.data, { validationFraction: settings.validationFraction, seed });
  const tokenizer = await tokenizerFor(settings, corpus);
  const [train, validation] = splitTokens(tokenizer, corpus, settings);
  const cursor = new BatchCursor(train, { sequenceLength, batchSize, seed });
  const heldOut = [...evaluationBatches(validation, { sequenceLength, batchSize, maxTokens: evalTokens })];
  const { vocabSize } = tokenizer;
  const sizes = { vocabSize, maxSequenceLength: sequenceLength, endOfTextId: tokenizer.endOfTextId };
  const model = loaded?.model ?? createPresetModel(source, sizes, seed);
  checkFit(model, tokenizer, settings);
  return {
    model,
    modelConfig: loaded === undefined ? writeLlamaConfig(model.config) : { ...loaded.files.config, ...IN_FLOAT32 },
    tokenizer,
    cursor,
    heldOut,
    trainTokens: train.length,
    threads: settings.threads ?? cpuCount(),
  };
}

/** What is written is float32, whatever the model was loaded from. */
const IN_FLOAT32 = { torch_dtype: "float32" };

function isPreset(model: string): boolean {
  return Object.hasOwn(MODEL_PRESETS, model);
}

function tokenizerFor(settings: Settings, corpus: Corpus): Promise<Tokenizer> {
  const source = settings.tokenizer ?? (isPreset(settings.model) ? null : settings.model);
  return source === null ? Promise.resolve(trainTokenizer(settings, corpus)) : Tokenizer.fromFolder(source);
}

function trainTokenizer({ vocabSize, sequenceLength }: Settings, { train }: Corpus): Tokenizer {
  const json = trainBytePairEncoding(train, {
    vocabSize,
    specialTokens: [END_OF_TEXT],
    sampleBytes: TOKENIZER_SAMPLE_BYTES,
  });
  return Tokenizer.fromJson(json, { ...tokenizerConfigJson(END_OF_TEXT, sequenceLength) } satisfies TokenizerConfig);
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

function checkFit(model: LlamaForCausalLM, tokenizer: Tokenizer, { model: source, sequenceLength }: Settings): void {
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
