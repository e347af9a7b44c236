export * from "./llama.js";
export * from "./llama-config.js";
