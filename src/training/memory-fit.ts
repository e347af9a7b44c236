import { collectGarbage, peakMemoryBytes, residentMemoryBytes } from "#platform";
import type { Settings } from "../config/settings.js";
import type { BatchShapes } from "../data/packing.js";
import { frozenQuantizer } from "../loading/quantizing.js";
import type { CausalLM } from "../models/causal-lm.js";
import { totalBytes } from "../runs/metrics.js";
import { estimateMemory } from "./memory.js";
import { leastActivations } from "./memory-limit.js";
import { runShapes } from "./run-shape.js";

/** Activations that the estimate would find, as a multiple of the least that there are: at most so many. */
const MOST_OF_LEAST = 16;

/** The rows of one pass that fit into the memory, and the length of a row where even one of them is too much. */
export interface MemoryFit {
  readonly fittingRows: number;
  readonly rowLength: number;
}

/**
 * The rows that fit into the memory, by the estimate at the settings as they are; more than any number where they do.
 * @param build gives a new model without its weights.
 * @param available bytes that the process may hold in all.
 */
export function fitMemory(
  build: () => CausalLM,
  settings: Settings,
  shapes: BatchShapes,
  available: number,
): MemoryFit {
  const { batchSize, sequenceLength, checkpointing } = settings;
  const model = build();
  const fits = { fittingRows: Number.POSITIVE_INFINITY, rowLength: sequenceLength };
  // Where there is plenty, the graphs need not be built for it.
  if (MOST_OF_LEAST * leastActivations(model.config, shapes.train, checkpointing) < available / 2) return fits;
  collectGarbage();
  const resident = residentMemoryBytes();
  const phases = runShapes(build, settings, frozenQuantizer(model, settings));
  const estimate = estimateMemory(phases, settings, shapes, { atStart: resident, data: 0, peak: peakMemoryBytes() });
  const room = available - totalBytes(estimate) + estimate.activations;
  if (room >= estimate.activations) return fits;
  // With several passes a step, their gradients are summed.
  const ofRow = estimate.activations / batchSize;
  const rows = (room - estimate.gradients / 2) / ofRow;
  if (rows >= 1) return { ...fits, fittingRows: Math.floor(rows) };
  return { fittingRows: 1, rowLength: Math.max(16, 16 * Math.floor((sequenceLength * rows) / 16)) };
}
