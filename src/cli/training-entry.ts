// The one place where the verbs reach training. Loaded when a verb needs it, so that `--help` stays quick.
export { checkRun } from "../training/check-run.js";
export { evaluateTarget } from "../training/evaluation.js";
export { exportTarget } from "../training/export-target.js";
export { Writer } from "../training/generation.js";
export { mergeTarget } from "../training/merge-target.js";
export { quantizeModel } from "../training/quantize-model.js";
export { startResuming, startTraining } from "../training/start.js";
