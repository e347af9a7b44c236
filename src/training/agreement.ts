import { runtimeVersions, sha256 } from "#platform";
import { mergeableLayers } from "../adapters/inject.js";
import { bytesOf } from "../base/arrays.js";
import { ConfigError, DeviceError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { SETTING_KEYS, settingOf } from "../config/names.js";
import type { Settings } from "../config/settings.js";
import type { Collective } from "../distributed/collective.js";
import type { CompiledPhase } from "../relora/compiled-phase.js";
import type { StepPlan } from "../relora/plan.js";
import type { PreparedRun } from "./prepare.js";

/**
 * Requires that all ranks are about to train the same.
 * @throws ConfigError that says what is not the same on which ranks, or that micro-batches cannot be shared.
 */
export async function requireSameRun(run: PreparedRun): Promise<void> {
  const { ranks, settings, dataSha256, threads } = run;
  if (ranks.size === 1) return;
  const facts: readonly (readonly [words: string, value: unknown])[] = [
    ["other versions of highrank, Node.js or ONNX Runtime", await runtimeVersions()],
    ...SETTING_KEYS.filter((key) => settingOf(key).computesNothing !== true).map(
      (key) => [`another value of ${optionName(key)}`, settings[key]] as const,
    ),
    ["other data", dataSha256],
    ["another number of threads", threads],
  ];
  const hashes = facts.map(([, value]) => hashOf([new TextEncoder().encode(JSON.stringify(value))]));
  const others = await othersThanFirst(ranks, hashes);
  const fault = others.findIndex((each) => each.length > 0);
  if (fault >= 0) throw new ConfigError(`${ranksInWords(others[fault]!)}: ${facts[fault]![0]} than rank 0`);
  requireShares(settings, ranks.size);
}

/** @throws ConfigError unless each rank gets as many micro-batches as the others. */
function requireShares({ totalBatchSize, batchSize }: Settings, size: number): void {
  const batches = totalBatchSize / batchSize;
  if (batches % size === 0) return;
  const rows = totalBatchSize / size;
  const wayOut = Number.isInteger(rows)
    ? `set ${optionName("batchSize", largestDivisor(rows, batchSize))}`
    : `choose a number of ranks that divides ${optionName("totalBatchSize", totalBatchSize)}`;
  throw new ConfigError(
    `${optionName("batchSize", batchSize)}: an update has ${batches} micro-batch${batches === 1 ? "" : "es"}, which ` +
      `${size} ranks cannot share; ${wayOut}`,
  );
}

/** The largest number up to `most` that divides `rows`. */
function largestDivisor(rows: number, most: number): number {
  for (let divisor = Math.min(rows, most); ; divisor--) if (rows % divisor === 0) return divisor;
}

/**
 * Requires that all ranks hold the same weights: those that are trained, and after a merge those that it changed.
 * @throws DeviceError that names the ranks whose weights are others.
 */
export async function requireSameWeights(
  { ranks, model }: Pick<PreparedRun, "ranks" | "model">,
  { trained }: Pick<CompiledPhase, "trained">,
  { step, merge }: Pick<StepPlan, "step" | "merge">,
): Promise<void> {
  if (ranks.size === 1) return;
  function* weights(): Generator<Uint8Array, void> {
    for (const { values } of trained.values()) yield bytesOf(values);
    if (merge) for (const { frozen } of mergeableLayers(model).values()) yield bytesOf(frozen.values());
  }
  const [others = []] = await othersThanFirst(ranks, [hashOf(weights())]);
  if (others.length === 0) return;
  throw new DeviceError(
    `${ranksInWords(others)}: other weights than rank 0 after step ${step}; the ranks must run on processors of one ` +
      "kind with the same libraries; resume goes on from the last checkpoint",
  );
}

/** Words of a hash. */
const HASH_WORDS = 4;

function hashOf(parts: Iterable<Uint8Array>): Int32Array {
  const words = sha256(parts).match(/.{8}/g)!.slice(0, HASH_WORDS);
  return Int32Array.from(words, (hex) => Number.parseInt(hex, 16));
}

/** For each of the hashes, the ranks where it is not that of rank 0; the same on all ranks. */
async function othersThanFirst(ranks: Collective, hashes: readonly Int32Array[]): Promise<number[][]> {
  const all = await ranks.gather(Int32Array.from(hashes.flatMap((words) => [...words])));
  const wordsOf = (rank: number, i: number): string => all[rank]!.subarray(HASH_WORDS * i, HASH_WORDS * (i + 1)).join();
  return hashes.map((_, i) => all.flatMap((_, rank) => (wordsOf(rank, i) === wordsOf(0, i) ? [] : [rank])));
}

function ranksInWords(ranks: readonly number[]): string {
  return `rank${ranks.length === 1 ? "" : "s"} ${ranks.join(", ")}`;
}
