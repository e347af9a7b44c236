export * from "./inject.js";
export * from "./linear-adapter.js";
export * from "./lora-adapter.js";
export * from "./mergeable-layer.js";
export * from "./spectrum.js";
