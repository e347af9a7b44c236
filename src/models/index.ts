export * from "./architectures.js";
export * from "./causal-lm.js";
export * from "./gemma3.js";
export * from "./gpt-neox.js";
export * from "./gpt2.js";
export * from "./llama.js";
export * from "./llama-config.js";
export * from "./weight-storage.js";
