export { clearEvaluationCache, evaluate } from "./evaluate.js";
export { type Feeds, Program } from "./program.js";
export { interpret, type ReferenceOptions } from "./reference.js";
export { type Device, liveSessionCount, type SessionOptions } from "./session.js";
