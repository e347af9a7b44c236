/** The formats that a model can be exported in. */
export const EXPORT_FORMATS = ["peft", "hf", "onnx"] as const;
