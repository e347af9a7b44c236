/**
 * highrank: train transformer language models with LoRA and ReLoRA on ONNX Runtime.
 *
 * Tensors are lazy: operations build a graph, `await tensor.data()` computes it, `Program.compile` compiles a graph for
 * repeated runs. Importing this module starts nothing: no session, worker, file or environment is touched.
 */
export * from "./adapters/index.js";
export * from "./autograd/index.js";
export * from "./models/index.js";
export * from "./nn/index.js";
export * from "./ops/index.js";
export * from "./optim/index.js";
/** Learning-rate multipliers as pure functions of the step. */
export * as schedules from "./optim/schedules.js";
export { clearEvaluationCache, evaluate } from "./runtime/evaluate.js";
export { type Feeds, Program } from "./runtime/program.js";
export { interpret, type ReferenceOptions } from "./runtime/reference.js";
export { type Device, liveSessionCount, type SessionOptions } from "./runtime/session.js";
export * from "./tensor/index.js";
