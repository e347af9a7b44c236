import { HighrankError } from "../tensor/errors.js";
import type { EvaluateTarget, GenerateText, StartTraining } from "../training/contracts.js";

// The one place where the verbs reach training. Loaded when a verb needs it, so that `--help` stays quick.

/** Starts a run in a worker thread. */
export const startTraining: StartTraining = () => ({
  done: Promise.reject(notWired("train")),
  stop: () => {},
});

/** Scores a model on a text. */
export const evaluateTarget: EvaluateTarget = () => Promise.reject(notWired("eval"));

/** Continues a prompt. */
export const generateText: GenerateText = () => Promise.reject(notWired("generate"));

function notWired(verb: string): HighrankError {
  return new HighrankError(`${verb}: training is not part of this build`);
}
