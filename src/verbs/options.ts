import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { SETTINGS } from "../config/settings.js";
import { FLOAT_DTYPES } from "../formats/quant-state.js";
import { createQuantizer, QUANTIZATION_FORMATS, type Quantizer } from "../quant/quantizer.js";
import { EXPORT_DTYPES, EXPORT_FORMATS, GGUF_EXPORT_TYPES, LOSS_TOKENS, PUSHED_PARTS } from "./export-formats.js";
import type { GivenOptions, OptionTable, OptionValues } from "./option-table.js";

// The verbs' options with their defaults, which the command line and the library share.

/** Rows of text for a model that allows very long sequences are cut to this length, unless the caller asks for more. */
export const USUAL_LENGTH = 1024;

/** Options of `highrank eval` beside those of its target. */
export const EVALUATION_OPTIONS = {
  data: { type: "string", path: "name or path", help: SETTINGS.data.help },
  columns: { ...SETTINGS.columns, isRare: true },
  document: { ...SETTINGS.document, isRare: true },
  sequenceLength: {
    type: "integer",
    default: null,
    none: `what the model allows, of text at most ${USUAL_LENGTH}`,
    min: 2,
    unit: "tokens",
    help: SETTINGS.sequenceLength.help,
  },
  batchSize: SETTINGS.batchSize,
  trainOnInputs: SETTINGS.trainOnInputs,
  chatDate: { ...SETTINGS.chatDate, isRare: true },
  chatTemplate: { ...SETTINGS.chatTemplate, isRare: true },
  maxTokens: {
    type: "integer",
    default: null,
    none: "all",
    min: 1,
    unit: "tokens",
    help: "Score about this many tokens at most, in whole samples or rows, at least one.",
  },
} as const satisfies OptionTable;

/** Options of `highrank generate` beside those of its target. */
export const GENERATION_OPTIONS = {
  prompt: {
    type: "string",
    default: "",
    help: "Text to continue; empty for the start of a document. With --chat, what the user says.",
  },
  data: {
    type: "string",
    path: "name or path",
    default: null,
    none: "none",
    brief: "Answer all prompts of this data, into --out.",
    help: "Answer all prompts of this data, into --out: of a file or a folder, or of a data set of the hub.",
  },
  out: {
    type: "string",
    path: "path",
    unit: "file",
    default: null,
    none: "none",
    brief: "File for the answers; it must be new.",
    help: "With --data, the .jsonl file for the answers, which must be new. Until it is whole it is OUT.partial.",
  },
  columns: { ...SETTINGS.columns, isRare: true, help: `With --data. ${SETTINGS.columns.help}` },
  batchSize: {
    isRare: true,
    type: "integer",
    default: null,
    none: "as the memory allows, at most 16",
    min: 1,
    unit: "prompts",
    help: "With --data, prompts at once.",
  },
  maxNewTokens: { type: "integer", default: 100, min: 1, unit: "tokens", help: "Tokens to generate." },
  temperature: { type: "number", default: 0.8, min: 0, help: "Spread of the sampling; 0 takes the likeliest token." },
  topK: {
    isRare: true,
    type: "integer",
    default: null,
    none: "all",
    min: 1,
    unit: "tokens",
    help: "Sample from this many of the likeliest tokens.",
  },
  topP: {
    isRare: true,
    type: "number",
    default: 1,
    above: 0,
    max: 1,
    help: "Sample from the likeliest tokens that together have this probability.",
  },
  seed: { ...SETTINGS.seed, isRare: true },
  chat: {
    type: "boolean",
    default: null,
    none: "yes for a prompt, if the tokenizer has a chat template; of data, as training reads them",
    help: "Answer the prompt as the assistant of a chat; without a prompt, line after line of standard input. --no-chat continues the text.",
  },
  system: { type: "string", default: null, none: "no system message", help: "With --chat, the system message." },
  chatTemplate: { ...SETTINGS.chatTemplate, isRare: true },
  float32: {
    type: "boolean",
    isRare: true,
    default: false,
    help: "Hold 16-bit and quantized weights in float32, whatever memory is at hand.",
  },
  keepQuantized: {
    type: "boolean",
    isRare: true,
    default: false,
    help: "Hold 16-bit and quantized weights as they are stored: slower, for less memory than float32, which is the default where it fits.",
  },
} as const satisfies OptionTable;

const { chatTemplate, float32, keepQuantized, system, maxNewTokens, temperature, topK, topP, seed } =
  GENERATION_OPTIONS;

/** Options of `highrank chat` beside those of its target. */
export const CHAT_OPTIONS = {
  system: { ...system, help: "The system message." },
  maxNewTokens: { ...maxNewTokens, default: 1000, help: "Tokens of an answer at most." },
  ...{ temperature, topK, topP, seed, chatTemplate, float32, keepQuantized },
} as const satisfies OptionTable;

/** Options of `highrank serve` beside those of its target. */
export const SERVER_OPTIONS = {
  host: {
    type: "string",
    unit: "address",
    default: "127.0.0.1",
    help: "Address to listen on; 127.0.0.1 is for programs of this machine alone, 0.0.0.0 for all that reach it.",
  },
  port: { type: "integer", default: 8000, min: 0, max: 65535, help: "Port to listen on; 0 for any that is free." },
  apiKey: {
    type: "string",
    unit: "key",
    default: null,
    none: "that in HIGHRANK_API_KEY, or else none",
    help: "Key that clients must send.",
  },
  parallel: {
    type: "integer",
    default: null,
    none: "as the memory allows, at most 8",
    min: 1,
    max: 64,
    unit: "answers",
    help: "Answers that are written at once.",
  },
  maxQueue: {
    type: "integer",
    isRare: true,
    default: 64,
    min: 0,
    unit: "questions",
    help: "Questions that may wait meanwhile; more are refused.",
  },
  timeLimit: {
    type: "number",
    isRare: true,
    default: 600,
    above: 0,
    max: 86_400,
    unit: "seconds",
    help: "Time from a question to the end of its answer, which is cut off then.",
  },
  contextTokens: {
    type: "integer",
    isRare: true,
    default: null,
    none: "as many as the model sees",
    min: 1,
    unit: "tokens",
    help: "Tokens of a prompt and its answer at most; fewer take less memory.",
  },
  chatTemplate: { ...chatTemplate, isRare: true },
  float32,
  keepQuantized,
} as const satisfies OptionTable;

/** Options of `highrank merge` beside those of its target. */
export const MERGE_OPTIONS = {
  out: { type: "string", path: "path", unit: "folder", help: "Folder to write; it must be new or empty." },
  dtype: {
    type: "choice",
    choices: FLOAT_DTYPES,
    default: null,
    none: "that of the base; float32 where it is quantized",
    help: "Type of the weights.",
  },
  verify: {
    type: "boolean",
    default: false,
    help: "Compare the logits of base + updates with those of the written model.",
  },
} as const satisfies OptionTable;

/** Options of `highrank export` beside those of its target. */
export const EXPORT_OPTIONS = {
  to: {
    type: "choice",
    choices: EXPORT_FORMATS,
    help: "peft: one adapter; hf: the merged model; onnx: a decoder; gguf: a file for llama.cpp.",
  },
  out: {
    type: "string",
    path: "path",
    unit: "folder",
    help: "Folder to write; it must be new or empty. gguf: a file.",
  },
  type: {
    type: "choice",
    choices: GGUF_EXPORT_TYPES,
    default: null,
    none: "q8_0; of an adapter f32",
    help: "Type of the matrices in a GGUF file.",
  },
  adapterOnly: {
    type: "boolean",
    default: false,
    help: "With gguf, write the adapter alone, for llama.cpp's --lora.",
  },
  dtype: {
    type: "list",
    choices: EXPORT_DTYPES,
    default: null,
    none: "hf: that of the base, or float32 where it is quantized; onnx: fp32",
    help: "Type of the weights; for onnx several, by commas.",
  },
  lossTokens: {
    type: "integer",
    default: null,
    none: `${LOSS_TOKENS}`,
    isRare: true,
    min: 0,
    unit: "tokens",
    help: "Tokens that the loss of rounded onnx models is computed on, as is that of the model in float32; 0 for none.",
  },
} as const satisfies OptionTable;

/** Options of `highrank push`. */
export const PUSH_OPTIONS = {
  what: {
    type: "choice",
    choices: PUSHED_PARTS,
    default: null,
    none: "the adapter if it is for a model of the hub, or else the model",
    help: "Part of a run.",
  },
  base: {
    type: "string",
    unit: "name",
    default: null,
    none: "the one that the run or the adapter names",
    help: "Model of the hub under an adapter.",
  },
  public: { type: "boolean", default: false, help: "Make the repository one that everybody sees." },
  dryRun: { type: "boolean", default: false, help: "Say what would be sent, and send nothing." },
} as const satisfies OptionTable;

/** Options of `highrank quantize`. */
export const QUANTIZATION_OPTIONS = {
  to: { type: "choice", choices: QUANTIZATION_FORMATS, help: "Format of the weights, bitsandbytes' own." },
  doubleQuant: {
    type: "boolean",
    default: false,
    help: "Quantize the scales of nf4 and fp4 too: 4.13 instead of 4.5 bits per weight.",
  },
  blockSize: {
    type: "integer",
    default: 64,
    min: 16,
    max: 4096,
    unit: "weights",
    help: "Weights that share a scale in nf4 and fp4: a power of two.",
  },
  out: { type: "string", path: "path", unit: "folder", help: "Folder to write; it must be new or empty." },
} as const satisfies OptionTable;

/**
 * The quantizer that the options ask for.
 * @param given the options as they were given.
 * @throws ConfigError for options that do not go together.
 */
export function quantizerOf(
  { to: format, doubleQuant, blockSize }: OptionValues<typeof QUANTIZATION_OPTIONS>,
  given: GivenOptions,
): Quantizer {
  const faults: string[] = [];
  if (format === "int8") {
    if (doubleQuant) {
      faults.push(`${optionName("doubleQuant")} is for nf4 and fp4, whose scales it quantizes, not for int8`);
    }
    if (given.blockSize !== undefined) {
      faults.push(`${optionName("blockSize")} is for nf4 and fp4; int8 has a scale for each row`);
    }
  }
  if (!Number.isInteger(Math.log2(blockSize))) {
    faults.push(`${optionName("blockSize")}: must be a power of two from 16 to 4096, got ${blockSize}`);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return createQuantizer(format, { doubleQuant, blockSize });
}
