export * from "./adamw.js";
export * from "./adamw-kernel.js";
export * from "./clip.js";
export * from "./gradient.js";
export * from "./reset.js";
