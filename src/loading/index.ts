export { AdapterSet } from "./adapter-set.js";
export type { QuantizedLayer } from "./quantization-error.js";
export type { MergeVerification } from "./unmerged-model.js";
export type { WeightedAdapter } from "./weighted-adapters.js";
