export type { Evaluation } from "./held-out.js";
export type { SamplingOptions } from "./sampling.js";
export { type Generation, TextGenerator, type TextOptions, type WritingOptions } from "./text-generator.js";
