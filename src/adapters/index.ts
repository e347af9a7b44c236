export * from "./inject.js";
export * from "./linear-adapter.js";
export * from "./lora-adapter.js";
export type { LayerInputs } from "./low-rank-approximation.js";
export type { LowRankTerm } from "./low-rank-term.js";
export * from "./merge-policies.js";
export * from "./mergeable-layer.js";
export * from "./spectrum.js";
