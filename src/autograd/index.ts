export * from "./checkpoint.js";
export * from "./custom.js";
export * from "./grad.js";
