import type { Settings } from "../src/config/settings.js";

/** A ReLoRA run of seconds with everything at once: a warm start, two micro-batches a step, dropout, cycles of three steps. */
export const SMALL_RUN: Partial<Settings> = {
  model: "tiny",
  method: "relora",
  rank: 4,
  dropout: 0.1,
  vocabSize: 300,
  batchSize: 2,
  totalBatchSize: 4,
  sequenceLength: 32,
  maxSteps: 11,
  warmStartSteps: 3,
  reloraEvery: 3,
  lr: 3e-3,
  adapterLr: 2e-2,
  evalEvery: 4,
  evalTokens: 300,
  sampleTokens: 3,
  saveEvery: 4,
  keepCheckpoints: 1,
};
