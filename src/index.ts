/**
 * highrank: train transformer language models with LoRA and ReLoRA on ONNX Runtime.
 *
 * {@link train} trains and {@link loadModel} loads what was trained; {@link evaluate}, {@link merge}, {@link exportTo},
 * {@link quantize} and {@link compare} do what the verbs of the command line do. What they are made of comes by folder
 * too, as `highrank/nn` or `highrank/adapters`.
 *
 * Tensors are lazy: operations build a graph, `await tensor.data()` computes it, `Program.compile` compiles a graph for
 * repeated runs. Importing this module starts nothing: no session, worker or file is touched. Of the environment it
 * sets `ORT_DISABLE_TELEMETRY` where that is not set, which keeps ONNX Runtime from collecting telemetry.
 */
export * from "./adapters/index.js";
export * from "./autograd/index.js";
export * from "./base/errors.js";
export * from "./chats/index.js";
export * from "./config/index.js";
export * from "./data/index.js";
export * from "./formats/index.js";
export * from "./hub/index.js";
export * from "./loading/index.js";
export * from "./models/index.js";
export * from "./nn/index.js";
export * from "./ops/index.js";
export * from "./optim/index.js";
export * from "./programs/index.js";
export * from "./quant/index.js";
export * from "./relora/index.js";
export * from "./runs/index.js";
export {
  clearEvaluationCache,
  type Device,
  type Feeds,
  interpret,
  liveSessionCount,
  Program,
  type ReferenceOptions,
  type SessionOptions,
} from "./runtime/index.js";
export * from "./studies/index.js";
export * from "./tensor/index.js";
export * from "./tokenizers/index.js";
export type { TrainResult } from "./training/ending.js";
export { Pace, type PaceCommand, type Pause } from "./training/pace.js";
export type { ResumeOptions } from "./training/resume.js";
export { startResuming, startTraining, type TrainingHandle } from "./training/start.js";
export type { TrainingOptions, TrainOptions } from "./training/train.js";
export { type AnswerDataOptions, type AnsweredData, type AnswerProgress, answerData } from "./verbs/answer-data.js";
export { checkRun, type Finding, type RunCheck } from "./verbs/doctor/check-run.js";
export {
  type EvaluateOptions,
  type ExportAdapterOptions,
  type ExportedAs,
  type ExportFormat,
  type ExportToOptions,
  evaluate,
  exportTo,
  type MergeModelOptions,
  merge,
  type QuantizeOptions,
  quantize,
  type ServeOptions,
  serve,
} from "./verbs/door.js";
export { type EvaluationOptions, evaluateTarget, type TargetEvaluation } from "./verbs/evaluate.js";
export { type ExportedModel, type ExportOptions, exportTarget } from "./verbs/export.js";
export type { ExportDtype, OnnxDtype } from "./verbs/export-formats.js";
export { EXPORT_FORMATS } from "./verbs/export-formats.js";
export type { ExportedGguf } from "./verbs/export-gguf.js";
export type { ExportedGgufAdapter } from "./verbs/export-gguf-adapter.js";
export type { ExportedOnnx, OnnxModelFile } from "./verbs/export-onnx.js";
export type { ExportedAdapter } from "./verbs/export-peft.js";
export {
  type GenerationOptions,
  generateText,
  type ManyOptions,
  Writer,
  type WriterOptions,
} from "./verbs/generate.js";
export { type MergedModel, type MergeOptions, mergeTarget } from "./verbs/merge.js";
export { type RunMetrics, readMetrics } from "./verbs/metrics.js";
export {
  type ChatOptions,
  type GenerateManyOptions,
  type GenerateOptions,
  LanguageModel,
  type Logits,
  loadModel,
  type ModelOptions,
} from "./verbs/model.js";
export type { LoadModelOptions, Named, OriginOptions } from "./verbs/model-options.js";
export { type Pushed, type PushOptions, pushTarget } from "./verbs/push.js";
export {
  type BeforeAndAfter,
  type ModelQuantization,
  type QuantizationOptions,
  quantizeModel,
} from "./verbs/quantize.js";
export type { Reply } from "./verbs/reply.js";
export { type ModelServer, type ServerOptions, serveTarget } from "./verbs/serve/serve.js";
export { type LoadedTarget, loadTarget, type TargetOptions } from "./verbs/target.js";
export { type Run, type RunOptions, resume, train } from "./verbs/train.js";
export { type Watching, type WatchOptions, watch } from "./verbs/watch/watch.js";
