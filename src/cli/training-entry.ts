// The one place where the verbs reach training. Loaded when a verb needs it, so that `--help` stays quick.

export { startResuming, startTraining } from "../training/start.js";
export { checkRun } from "../verbs/doctor/check-run.js";
export { evaluateTarget } from "../verbs/evaluate.js";
export { exportTarget } from "../verbs/export.js";
export { Writer } from "../verbs/generate.js";
export { mergeTarget } from "../verbs/merge.js";
export { quantizeModel } from "../verbs/quantize.js";
