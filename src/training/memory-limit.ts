import { ConfigError, MemoryError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { formatBytes } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import type { BatchShape } from "../data/packing.js";
import type { CausalLMConfig } from "../models/causal-lm.js";
import { isFourBitType } from "../ops/four-bit-codes.js";
import { type MemoryEstimate, totalBytes } from "../runs/metrics.js";

type LimitSettings = Pick<
  Settings,
  | "method"
  | "warmStartSteps"
  | "quantize"
  | "doubleQuant"
  | "checkpointing"
  | "batchSize"
  | "sequenceLength"
  | "rank"
  | "force"
>;

/**
 * Refuses a run that would need more memory than there is, unless the settings force it.
 * @param available bytes that the process may hold in all.
 * @throws ConfigError that tells the estimate by part, and which settings would lower it.
 */
export function requireMemory(memory: MemoryEstimate, available: number, settings: LimitSettings): void {
  if (settings.force || totalBytes(memory) <= available) return;
  const parts = Object.entries(memory).filter(([, bytes]) => bytes > 0);
  throw new ConfigError(
    `memory: training would take about ${formatBytes(totalBytes(memory))}, ` +
      `and ${formatBytes(available)} are at hand:\n` +
      `${parts.map(([part, bytes]) => `${part} ${formatBytes(bytes)}`).join(", ")}.\n` +
      `Less is needed with ${listed(remedies(settings))}; ${optionName("force", true)} starts all the same`,
  );
}

/** True for an error of memory that ran out, in ONNX Runtime or in an array of JavaScript. */
export function isOutOfMemory(error: unknown): error is Error {
  return error instanceof MemoryError || (error instanceof RangeError && /allocation failed/i.test(error.message));
}

/** An error of memory that ran out with the estimate beside it; any other error unchanged. */
export function withEstimate(error: unknown, memory: MemoryEstimate, available: number): unknown {
  if (!isOutOfMemory(error)) return error;
  const said = error instanceof MemoryError ? error.text : `the memory ran out: ${error.message}`;
  return new MemoryError(
    `${said}\nThe run was estimated to take about ${formatBytes(totalBytes(memory))} of ` +
      `${formatBytes(available)} that were at hand when it began.`,
    { cause: error },
  );
}

/**
 * Refuses a step whose rows alone exceed the memory, and a batch whose activations do. The graph of so large a batch
 * takes long to build, so this comes before {@link requireMemory}.
 * @throws ConfigError
 */
export function requireBatchMemory(
  config: Pick<CausalLMConfig, "hiddenSize" | "numLayers">,
  available: number,
  shape: BatchShape,
  settings: Pick<Settings, "totalBatchSize" | "checkpointing" | "force">,
): void {
  const { batchSize, sequenceLength, mostTokens = batchSize * sequenceLength } = shape;
  const { totalBatchSize, force, checkpointing } = settings;
  if (force) return;
  const least = leastActivations(config, shape, checkpointing);
  if (least > available) {
    throw new ConfigError(
      `memory: a batch of ${batchSize} × ${sequenceLength} tokens has at least ${formatBytes(least)} of activations, ` +
        `and ${formatBytes(available)} are at hand. Less is needed with a smaller ${optionName("batchSize")}; ` +
        `${optionName("totalBatchSize")} makes the same steps out of smaller batches`,
    );
  }
  const ofRow = (TOKEN_BYTES * mostTokens) / batchSize;
  if (totalBatchSize * ofRow > available) {
    throw new ConfigError(
      `memory: the ${totalBatchSize} rows of a step have ${formatBytes(totalBatchSize * ofRow)} of tokens and labels, ` +
        `and ${formatBytes(available)} are at hand. Less is needed with a smaller ${optionName("totalBatchSize")}`,
    );
  }
}

/** A token and its label. */
const TOKEN_BYTES = 8;

/** Bytes of activations that a pass has at least. */
export function leastActivations(
  { hiddenSize, numLayers }: Pick<CausalLMConfig, "hiddenSize" | "numLayers">,
  { batchSize, sequenceLength, mostTokens = batchSize * sequenceLength }: BatchShape,
  checkpointing: boolean,
): number {
  // The gradient takes what each layer, or each of its norms and what is behind them, was given.
  const kept = numLayers * (checkpointing ? 1 : 4);
  return 4 * kept * hiddenSize * mostTokens;
}

/** Changes that would lower the estimate, the settings being what they are. */
function remedies(settings: LimitSettings): string[] {
  const { method, warmStartSteps, quantize, doubleQuant, checkpointing, batchSize, sequenceLength, rank } = settings;
  const full = method === "full";
  const warm = !full && warmStartSteps > 0;
  const found: [fits: boolean, remedy: string][] = [
    [full, optionName("method", "lora")],
    // A warm start trains every weight, in float32.
    [warm, optionName("warmStartSteps", 0)],
    [!full && (quantize === "none" || quantize === "int8"), optionName("quantize", "nf4")],
    [!full && isFourBitType(quantize) && !doubleQuant, optionName("doubleQuant", true)],
    [!checkpointing, optionName("checkpointing", true)],
    [batchSize > 1, `a smaller ${optionName("batchSize")}`],
    [sequenceLength > SHORT_SEQUENCE, `a smaller ${optionName("sequenceLength")}`],
    [!full && rank > SMALL_RANK, `a lower ${optionName("rank")}`],
  ];
  const fitting = found.filter(([fits]) => fits).map(([, remedy]) => remedy);
  return fitting.length > 0 ? fitting : [`a smaller ${optionName("model")}`];
}

/** Below these there is nothing worth the name to be gained. */
const SHORT_SEQUENCE = 64;
const SMALL_RANK = 4;

function listed(items: readonly string[]): string {
  return items.length === 1 ? items[0]! : `${items.slice(0, -1).join(", ")} or ${items.at(-1)}`;
}
