/**
 * highrank: train transformer language models with LoRA and ReLoRA on ONNX Runtime.
 *
 * Tensors are lazy: operations build a graph, `await tensor.data()` computes it, `Program.compile` compiles a graph for
 * repeated runs. Importing this module starts nothing: no session, worker or file is touched. Of the environment it
 * sets `ORT_DISABLE_TELEMETRY` where that is not set, which keeps ONNX Runtime from collecting telemetry.
 */
export * from "./adapters/index.js";
export * from "./autograd/index.js";
export * from "./base/errors.js";
export type { ChatMessage, Conversation } from "./chats/chat-rendering.js";
export { ChatTemplate } from "./chats/chat-template.js";
export { type ConfigFile, loadConfigFile } from "./config/config-file.js";
export type { DataFacts, OpenSettings } from "./config/derive.js";
export { MODEL_PRESETS, type ModelPreset, RECIPES } from "./config/presets.js";
export { completeSettings, resolveSettings, type SettingSources } from "./config/resolve.js";
export { settingsJsonSchema } from "./config/schema.js";
export type { Settings } from "./config/settings.js";
export { type Corpus, loadCorpus } from "./data/corpus.js";
export { BatchCursor, type BatchCursorOptions, type DataPosition } from "./data/cursor.js";
export { type DataFormat, type Dataset, type DatasetOptions, loadDataset, type UnusedData } from "./data/dataset.js";
export { type EvaluationBatchesOptions, evaluationBatches } from "./data/evaluation-batches.js";
export { type Batch, type Rows, SampleRows, StreamRows, type TokenStream } from "./data/packing.js";
export type { DataKind, DataRecord, Place, ReadingRules, RecordContent } from "./data/records.js";
export { IGNORED_LABEL, loadTokenRows, type TokenLabels, type TokenRow } from "./data/rows.js";
export { hashModelFolder } from "./formats/base-hash.js";
export {
  bitsandbytesTensors,
  quantizedWeightNames,
  readBitsandbytes,
  type StoredFourBitWeight,
  type StoredInt8Weight,
  type StoredQuantizedWeight,
} from "./formats/bitsandbytes.js";
export { type LazyTensor, storeAs, type TensorToWrite } from "./formats/lazy-tensor.js";
export {
  type ModelFolder,
  type ModelFolderContent,
  type OpenModelFolder,
  openModelFolder,
  readModelFolder,
  writeModelFolder,
} from "./formats/model-folder.js";
export {
  type PeftAdapter,
  type PeftBase,
  type ReadPeftAdapter,
  readPeftAdapter,
  writePeftAdapter,
} from "./formats/peft.js";
export type { LoraPair, PeftTensor, PeftTensors } from "./formats/peft-tensors.js";
export {
  type AnnouncedQuantization,
  parseQuantizationConfig,
  quantizationConfig,
} from "./formats/quantization-config.js";
export {
  type OpenSafetensors,
  openSafetensors,
  readSafetensors,
  type Safetensors,
  writeSafetensors,
} from "./formats/safetensors.js";
export type { SafetensorsDType } from "./formats/safetensors-header.js";
export type { StoredTensor } from "./formats/stored-tensor.js";
export type { HubAccess } from "./hub/hub-access.js";
export type { Patience } from "./hub/hub-client.js";
export { type LocatedModel, locateModel } from "./hub/locate-model.js";
export type { DownloadEvents, DownloadOptions, DownloadProgress } from "./hub/model-download.js";
export type { WantedParts } from "./hub/model-files.js";
export { AdapterSet } from "./loading/adapter-set.js";
export type { QuantizedLayer } from "./loading/quantization-error.js";
export type { MergeVerification } from "./loading/unmerged-model.js";
export type { WeightedAdapter } from "./loading/weighted-adapters.js";
export * from "./models/index.js";
export * from "./nn/index.js";
export * from "./ops/index.js";
export * from "./optim/index.js";
/** Learning-rate multipliers as pure functions of the step. */
export * as schedules from "./optim/schedules.js";
export type { Evaluation } from "./programs/held-out.js";
export type { SamplingOptions } from "./programs/sampling.js";
export { type Generation, TextGenerator, type TextOptions, type WritingOptions } from "./programs/text-generator.js";
export * from "./quant/index.js";
export { appendDelta, type Delta, readDeltas } from "./relora/delta-log.js";
export {
  describePlan,
  type Phase,
  type PhaseName,
  planRun,
  planStep,
  type ReloraConfig,
  type RunPlan,
  type StepPlan,
} from "./relora/plan.js";
export { type Checkpoint, listCheckpoints, readCheckpoint } from "./runs/checkpoint.js";
export { type MetricsRecord, parseMetrics } from "./runs/metrics.js";
export { clearEvaluationCache, evaluate } from "./runtime/evaluate.js";
export { type Feeds, Program } from "./runtime/program.js";
export { interpret, type ReferenceOptions } from "./runtime/reference.js";
export { type Device, liveSessionCount, type SessionOptions } from "./runtime/session.js";
export { type ComparedRun, compareRuns, type RunComparison } from "./studies/compare-runs.js";
export { type StudyHandle, type StudyOptions, type StudyResult, startStudy } from "./studies/run-study.js";
export type { Arm, Reference, Study } from "./studies/study.js";
export { parseStudy } from "./studies/study-config.js";
export type { RunPhase, RunStatus, StudyRun } from "./studies/study-run.js";
export type { ArmSummary, RunSummary, StudySummary } from "./studies/summary.js";
export { parseSweeps, type Sweep, sweepStudy, type Variant } from "./studies/sweep.js";
export * from "./tensor/index.js";
export { type BytePairEncodingOptions, trainBytePairEncoding } from "./tokenizers/bpe-trainer.js";
export { Tokenizer, type TokenizerConfig } from "./tokenizers/tokenizer.js";
export { type TokenizerConfigJson, type TokenizerJson, tokenizerConfigJson } from "./tokenizers/tokenizer-json.js";
export type { TrainResult } from "./training/ending.js";
export { type ResumeOptions, resume } from "./training/resume.js";
export { startResuming, startTraining, type TrainingHandle } from "./training/start.js";
export { type TrainingOptions, type TrainOptions, train } from "./training/train.js";
export { checkRun, type Finding, type RunCheck } from "./verbs/doctor/check-run.js";
export { type EvaluationOptions, evaluateTarget, type TargetEvaluation } from "./verbs/evaluate.js";
export { type ExportedModel, type ExportOptions, exportTarget } from "./verbs/export.js";
export { EXPORT_FORMATS } from "./verbs/export-formats.js";
export type { ExportedOnnx } from "./verbs/export-onnx.js";
export type { ExportedAdapter } from "./verbs/export-peft.js";
export { type GenerationOptions, generateText, Writer, type WriterOptions } from "./verbs/generate.js";
export { type MergedModel, type MergeOptions, mergeTarget } from "./verbs/merge.js";
export {
  type BeforeAndAfter,
  type ModelQuantization,
  type QuantizationOptions,
  quantizeModel,
} from "./verbs/quantize.js";
export { type LoadedTarget, loadTarget, type TargetOptions } from "./verbs/target.js";
