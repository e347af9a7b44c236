export * from "./adamw.js";
export * from "./clip.js";
export * from "./gradient.js";
export * from "./reset.js";
/** Learning-rate multipliers as pure functions of the step. */
export * as schedules from "./schedules.js";
