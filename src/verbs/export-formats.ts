import { FLOAT_DTYPES } from "../formats/quant-state.js";
import { GGUF_FILE_TYPES } from "../gguf/file-types.js";
import type { OnnxForm } from "../programs/onnx-weights.js";

/** The formats that a model can be exported in. */
export const EXPORT_FORMATS = ["peft", "hf", "onnx", "gguf"] as const;

/** Types of GGUF files. */
export const GGUF_EXPORT_TYPES = Object.keys(GGUF_FILE_TYPES) as readonly (keyof typeof GGUF_FILE_TYPES)[];

/** Forms of the weights in ONNX files, each with its name in transformers.js and the end of its file's name. */
export const ONNX_DTYPES = {
  float32: { bits: 32, half: false, name: "fp32", suffix: "" },
  float16: { bits: 16, half: false, name: "fp16", suffix: "_fp16" },
  fp16: { bits: 16, half: true, name: "fp16", suffix: "_fp16" },
  q8: { bits: 8, half: false, name: "q8", suffix: "_quantized" },
  q4: { bits: 4, half: false, name: "q4", suffix: "_q4" },
  q4f16: { bits: 4, half: true, name: "q4f16", suffix: "_q4f16" },
} as const satisfies Readonly<Record<string, OnnxForm & { readonly name: string; readonly suffix: string }>>;

export type OnnxDtype = keyof typeof ONNX_DTYPES;

/** Types of weights that can be asked for, in the words of transformers and in those of transformers.js. */
export const EXPORT_DTYPES = [...FLOAT_DTYPES, "fp32", "fp16", "q8", "q4", "q4f16"] as const;

export type ExportDtype = (typeof EXPORT_DTYPES)[number];

/** Parts of a run that can be pushed to the hub. */
export const PUSHED_PARTS = ["adapter", "model"] as const;

/** Tokens that losses are computed on unless another number is asked for. */
export const LOSS_TOKENS = 2048;
