export * from "./custom.js";
export * from "./grad.js";
export * from "./recompute.js";
