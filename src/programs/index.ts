export type { Evaluation } from "./held-out.js";
export type { SamplingOptions } from "./sampling.js";
export {
  type Answer,
  type Generation,
  TextGenerator,
  type TextOptions,
  type WritingOptions,
} from "./text-generator.js";
