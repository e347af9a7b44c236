export * from "./attention.js";
export * from "./cross-entropy.js";
export * from "./embedding.js";
export * from "./initializers.js";
export * from "./linear.js";
export * from "./module.js";
export * from "./rms-norm.js";
