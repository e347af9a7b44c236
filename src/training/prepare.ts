import { cpuCount, exists } from "#platform";
import { isModelPreset, MODEL_PRESETS } from "../config/presets.js";
import type { Settings } from "../config/settings.js";
import { type Corpus, loadCorpus } from "../data/corpus.js";
import { BatchCursor } from "../data/cursor.js";
import { evaluationBatches } from "../data/evaluation-batches.js";
import type { Batch, TokenStream } from "../data/packing.js";
import { Tokenizer } from "../data/tokenizer.js";
import { trainTokenizer } from "../data/train-tokenizer.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import { writeLlamaConfig } from "../models/llama-config.js";
import { ConfigError, DataError } from "../tensor/errors.js";
import { suggest } from "../tensor/suggest.js";
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

/** Loads data, tokenizer and model. @throws ConfigError, DataError or CheckpointError for all that would stop the run. */
export async function prepareRun(settings: Settings): Promise<PreparedRun> {
  const { model: source, sequenceLength, batchSize, evalTokens, seed } = settings;
  await requireModel(source);
  const loaded = isModelPreset(source) ? undefined : await loadModel(source);
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
