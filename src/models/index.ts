export * from "./architectures.js";
export * from "./causal-lm.js";
export * from "./llama.js";
export * from "./llama-config.js";
export * from "./weight-storage.js";
