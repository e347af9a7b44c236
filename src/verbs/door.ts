import { FUNCTION, type Kind, type Kinds, listOf, requireArguments, requireOptions, TEXT } from "../base/arguments.js";
import { isObject } from "../base/json.js";
import { heardByProgram } from "../base/naming.js";
import type { FloatDType } from "../formats/quant-state.js";
import type { DownloadEvents } from "../hub/model-download.js";
import type { QuantizationFormat } from "../quant/quantizer.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import { evaluate as evaluateTensors } from "../runtime/evaluate.js";
import type { HostTensor } from "../tensor/dtype.js";
import { Tensor } from "../tensor/tensor.js";
import { type EvaluationOptions, evaluateTarget, type TargetEvaluation } from "./evaluate.js";
import type { ExportedModel } from "./export.js";
import { exportTarget } from "./export.js";
import type { EXPORT_FORMATS, ExportDtype } from "./export-formats.js";
import type { ExportedGguf } from "./export-gguf.js";
import type { ExportedGgufAdapter } from "./export-gguf-adapter.js";
import type { ExportedOnnx } from "./export-onnx.js";
import type { ExportedAdapter } from "./export-peft.js";
import { type MergedModel, mergeTarget } from "./merge.js";
import {
  LOADING,
  type LoadModelOptions,
  MACHINE,
  type Named,
  nameOf,
  ORIGIN,
  type OriginOptions,
  originOf,
  targetOptionsOf,
} from "./model-options.js";
import { completeOptions, type GivenOptions } from "./option-table.js";
import {
  EVALUATION_OPTIONS,
  EXPORT_OPTIONS,
  MERGE_OPTIONS,
  QUANTIZATION_OPTIONS,
  quantizerOf,
  SERVER_OPTIONS,
} from "./options.js";
import { type ModelQuantization, quantizeModel } from "./quantize.js";
import { type ModelServer, type ServerOptions, serveTarget } from "./serve/serve.js";
import type { TargetOptions } from "./target.js";
import type { HoldingOptions } from "./weight-holding.js";

// The verbs as functions of a name and a few options. What is left out is as on the command line.

const TENSOR: Kind = { words: "a Tensor", holds: (value) => value instanceof Tensor };

/** Options of {@link evaluate}; only the data must be given. */
export interface EvaluateOptions
  extends LoadModelOptions,
    Pick<EvaluationOptions, "data">,
    Partial<Omit<EvaluationOptions, keyof TargetOptions | "data">> {}

/**
 * Scores a model on data: the mean loss of a token, and its perplexity. See {@link evaluateTarget}.
 * @throws ConfigError for unknown options and values out of range; DataError; CheckpointError.
 */
export function evaluate(target: Named, options: EvaluateOptions): Promise<TargetEvaluation>;
/** Computes tensors on the CPU, as `tensor.data()` does, several at once. */
export function evaluate(tensors: readonly Tensor[]): Promise<HostTensor[]>;
export async function evaluate(
  target: Named | readonly Tensor[],
  options?: EvaluateOptions,
): Promise<TargetEvaluation | HostTensor[]> {
  if (Array.isArray(target)) {
    requireArguments("evaluate", { tensors: listOf(TENSOR) }, { tensors: target });
    return evaluateTensors(target);
  }
  const name = nameOf("evaluate", target as Named);
  const given = options ?? {};
  requireOptions("evaluate", given, LOADING, [...Object.keys(MACHINE), ...Object.keys(EVALUATION_OPTIONS)]);
  const own = completeOptions(EVALUATION_OPTIONS, given as GivenOptions);
  return evaluateTarget(name, { ...own, ...targetOptionsOf(given) });
}

/** Options of {@link merge}; only `out` must be given. */
export interface MergeModelOptions extends OriginOptions {
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /** Type of the weights. Default and null: that of the base, float32 where it is quantized. */
  readonly dtype?: FloatDType | null;
  /** Compare the logits of base + updates with those of the written model. Default false. */
  readonly verify?: boolean;
}

/**
 * Writes a run, or an adapter with its base, as a plain Hugging Face folder. See {@link mergeTarget}.
 * @throws ConfigError for unknown options, and if `out` holds files already; CheckpointError.
 */
export async function merge(target: Named, options: MergeModelOptions): Promise<MergedModel> {
  const name = nameOf("merge", target);
  requireOptions("merge", options, ORIGIN, Object.keys(MERGE_OPTIONS));
  const own = completeOptions(MERGE_OPTIONS, options as unknown as GivenOptions);
  return mergeTarget(name, { ...originOf(options), ...own });
}

/** A format that a model can be exported in. */
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Options of {@link exportTo}; only `out` must be given. */
export interface ExportToOptions extends Omit<MergeModelOptions, "verify" | "dtype"> {
  /** Type of the weights, of onnx also several. Default and null: as for {@link merge}; float32 for onnx. */
  readonly dtype?: ExportDtype | readonly ExportDtype[] | null;
  /** Tokens that the losses of rounded onnx models are computed on; 0 for none. Default and null: 2048. */
  readonly lossTokens?: number | null;
  /** Type of the matrices in a GGUF file. Default and null: q8_0, for an adapter f32. */
  readonly type?: ExportedGguf["type"] | null;
}

/** The result of {@link exportTo} by format. */
export interface ExportedAs {
  readonly peft: ExportedAdapter;
  readonly hf: ExportedModel;
  readonly onnx: ExportedOnnx;
  readonly gguf: ExportedGguf;
}

/** Options of {@link exportTo} for the adapter alone, as a GGUF file for llama.cpp's `--lora`. */
export interface ExportAdapterOptions extends ExportToOptions {
  readonly adapterOnly: true;
}

/**
 * Writes a model for other programs: `peft` as one adapter, `hf` as a Hugging Face folder, `onnx` as a decoder with a
 * key-value cache, `gguf` as a file for llama.cpp. See {@link exportTarget}.
 * @throws ConfigError for unknown options, for what the format cannot hold, and if `out` holds files already.
 */
export function exportTo(target: Named, format: "gguf", options: ExportAdapterOptions): Promise<ExportedGgufAdapter>;
export function exportTo<F extends ExportFormat>(
  target: Named,
  format: F,
  options: ExportToOptions,
): Promise<ExportedAs[F]>;
export async function exportTo(
  target: Named,
  format: ExportFormat,
  options: ExportToOptions | ExportAdapterOptions,
): Promise<ExportedAs[ExportFormat] | ExportedGgufAdapter> {
  const { to, ...table } = EXPORT_OPTIONS;
  const name = nameOf("exportTo", target);
  requireOptions("exportTo", options, ORIGIN, Object.keys(table));
  const own = completeOptions(EXPORT_OPTIONS, { ...options, to: format });
  return exportTarget(name, { ...originOf(options), ...own });
}

/** Options of {@link quantize}; `to` and `out` must be given. */
export interface QuantizeOptions extends DownloadEvents {
  /** Format of the weights, bitsandbytes' own. */
  readonly to: QuantizationFormat;
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /** Quantize the scales of nf4 and fp4 too. Default false. */
  readonly doubleQuant?: boolean;
  /** Weights that share a scale in nf4 and fp4: a power of two from 16 to 4096. Default 64. */
  readonly blockSize?: number;
}

/** Options of {@link serve}; all may be left out. */
export interface ServeOptions extends DownloadEvents, HoldingOptions, Partial<ServerChoices> {
  /** The model under a PEFT adapter. Default and null: the one that the adapter names. */
  readonly base?: string | null;
  /** The checkpoint of a run folder. Default and null: the finished model, or else the newest state. */
  readonly checkpoint?: CheckpointName | null;
  /** PEFT adapters for a model, folders or names of the hub, by the names that requests choose them by. */
  readonly adapters?: Readonly<Record<string, string>>;
  /** Default: the CPU. */
  readonly device?: TargetOptions["device"];
  /** Threads of the computation. Default and null: as many as the machine has cores. */
  readonly threads?: number | null;
  /** One of the tokenizer's chat templates by name, or a file with one. Default and null: as the messages need it. */
  readonly chatTemplate?: string | null;
}

/** Where a server listens and how much it takes on; the defaults are those of the command line. */
type ServerChoices = Pick<
  ServerOptions,
  "host" | "port" | "apiKey" | "parallel" | "maxQueue" | "timeLimit" | "contextTokens"
>;

const ADAPTERS: Kind = {
  words: "an object of adapters, folders or names of the hub, by the names of their models",
  holds: (value) => isObject(value) && Object.values(value).every((path) => typeof path === "string"),
};
const { base, checkpoint, onDownload, onNotice } = ORIGIN;
const SERVING = { base, checkpoint, onDownload, onNotice, adapters: ADAPTERS } as const satisfies Kinds;

/**
 * Answers requests of OpenAI's API with a model, on the loopback address unless `host` says otherwise. It computes in
 * a thread of its own and goes on until `close`.
 * @throws ConfigError for unknown options and a port that is taken; CheckpointError.
 */
export async function serve(target: Named, options: ServeOptions = {}): Promise<ModelServer> {
  const name = nameOf("serve", target);
  requireOptions("serve", options, SERVING, [...Object.keys(MACHINE), ...Object.keys(SERVER_OPTIONS)]);
  const { base = null, checkpoint = null, adapters = {}, onDownload, onNotice } = options;
  const given = options as GivenOptions;
  const own = { ...completeOptions(SERVER_OPTIONS, given), ...completeOptions(MACHINE, given) };
  return serveTarget(name, { ...own, base, checkpoint, adapters, onDownload, onNotice: heardByProgram(onNotice) });
}

const HEARING = { onDownload: FUNCTION, onNotice: FUNCTION } as const satisfies Record<keyof DownloadEvents, Kind>;

/**
 * Quantizes a Hugging Face model to 4 or 8 bits a weight. See {@link quantizeModel}.
 * @throws ConfigError for unknown options, and if `out` holds files already; CheckpointError.
 */
export async function quantize(model: string, options: QuantizeOptions): Promise<ModelQuantization> {
  requireArguments("quantize", { model: TEXT }, { model });
  requireOptions("quantize", options, HEARING, Object.keys(QUANTIZATION_OPTIONS));
  const given = options as unknown as GivenOptions;
  const own = completeOptions(QUANTIZATION_OPTIONS, given);
  const events = { onDownload: options.onDownload, onNotice: heardByProgram(options.onNotice) };
  return quantizeModel(model, { out: own.out, quantizer: quantizerOf(own, given), ...events });
}
