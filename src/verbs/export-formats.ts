import { GGUF_FILE_TYPES } from "../gguf/file-types.js";

/** The formats that a model can be exported in. */
export const EXPORT_FORMATS = ["peft", "hf", "onnx", "gguf"] as const;

/** Types of GGUF files. */
export const GGUF_EXPORT_TYPES = Object.keys(GGUF_FILE_TYPES) as readonly (keyof typeof GGUF_FILE_TYPES)[];
