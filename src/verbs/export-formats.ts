/** The formats that a model can be exported in. */
export const EXPORT_FORMATS = ["peft", "hf", "onnx", "gguf"] as const;

/** Types of the matrices in a GGUF file. */
export const GGUF_EXPORT_TYPES = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_1", "q5_0", "q4_1", "q4_0"] as const;
