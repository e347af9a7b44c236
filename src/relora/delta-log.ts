import { filesBelow, isDirectory, joinPath, listFolder, makeFolder, removeTree, sha256File } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { isObject, parseJson, shownValue } from "../base/json.js";
import { checkpointFault } from "../files/faults.js";
import type { LazyTensor } from "../files/lazy-tensor.js";
import { checkpointPath, orCheckpointError } from "../files/open-file.js";
import { openSafetensors, writeSafetensors } from "../files/safetensors.js";
import { describeTensor } from "../formats/peft.js";
import { type LoraPair, peftLayers, peftTensors, readPair } from "../formats/peft-tensors.js";
import type { HostTensor } from "../tensor/dtype.js";
import { sameShape } from "../tensor/shape.js";

/**
 * The change of one finished cycle: ΔW = scaling · loraB · loraA for every layer. With a magnitude, the rows of W + ΔW
 * then get its lengths.
 */
export interface Delta<T = HostTensor> {
  /** From 1, without gaps. */
  readonly cycle: number;
  /** The optimizer step after which it was merged. */
  readonly step: number;
  readonly scaling: number;
  /** The scaling of layers that have another one. */
  readonly scalings?: ReadonlyMap<string, number>;
  /** By module path in the base model. */
  readonly layers: ReadonlyMap<string, LoraPair<T>>;
}

const FOLDER = "deltas";
const SUMS = "sums.safetensors";
const FILE_NAME = /^cycle-(\d{6,})\.safetensors$/;

/** The file of a cycle. */
export function deltaPath(runDir: string, cycle: number): string {
  return joinPath(runDir, FOLDER, fileName(cycle));
}

/** The weights that the cycles up to one add up to, beside their files: made anew where they are missing. */
export function sumsPath(runDir: string): string {
  return joinPath(runDir, FOLDER, SUMS);
}

/** Files in the folder of the log, and below it, that are not of the log. */
export async function filesBesideDeltas(runDir: string): Promise<string[]> {
  const files = await orCheckpointError(filesBelow(joinPath(runDir, FOLDER)));
  return files.filter((file) => file !== SUMS && !FILE_NAME.test(file));
}

function fileName(cycle: number): string {
  return `cycle-${String(cycle).padStart(6, "0")}.safetensors`;
}

/**
 * Adds a cycle to the run's log, as deltas/cycle-000001.safetensors with PEFT's tensor names. Returns the file's
 * SHA-256.
 * @throws CheckpointError unless it is the cycle after the last one logged.
 */
export async function appendDelta(runDir: string, { cycle, step, scaling, scalings, layers }: Delta): Promise<string> {
  const last = (await loggedCycles(runDir)).length;
  if (cycle !== last + 1) {
    throw new CheckpointError(
      `the delta log of ${runDir} ends with cycle ${last}, so the next must be ${last + 1}, not ${cycle}, as the ` +
        "state of the run says; bring the run folder back from a copy",
    );
  }
  await makeFolder(joinPath(runDir, FOLDER));
  const metadata = {
    ...{ format: "pt", cycle: String(cycle), step: String(step), scaling: String(scaling) },
    ...(scalings?.size && { scalings: JSON.stringify(Object.fromEntries(scalings)) }),
  };
  await writeSafetensors(deltaPath(runDir, cycle), peftTensors({ layers }), metadata);
  return sha256File(deltaPath(runDir, cycle));
}

/**
 * The logged cycles in order, one in memory at a time; none where there is no log. The weight of the end of a cycle is
 * base + Σ scaling · loraB · loraA up to it.
 * @param checksums SHA-256 of the file of each cycle to read: no others are; without it all are read.
 * @throws CheckpointError for gaps and cycles that are missing, before the first one is read, and for files that do not
 * fit.
 */
export async function* readDeltas(runDir: string, checksums?: readonly string[]): AsyncGenerator<Delta, void> {
  const through = checksums?.length ?? (await loggedCycles(runDir)).length;
  const present = new Set(await presentCycles(runDir));
  for (let cycle = 1; cycle <= through; cycle++) {
    if (present.has(cycle)) continue;
    throw new CheckpointError(
      `the delta log of ${runDir} lacks cycle ${cycle} of the ${through} that the checkpoint builds on; ` +
        `copy the run folder whole`,
    );
  }
  for (let cycle = 1; cycle <= through; cycle++) {
    const path = await checkpointPath(runDir, `${FOLDER}/${fileName(cycle)}`);
    if (checksums !== undefined && (await orCheckpointError(sha256File(path))) !== checksums[cycle - 1]) {
      throw new CheckpointError(
        `${path} is not the file that the checkpoint was trained with; bring it back from a copy of the run folder`,
      );
    }
    yield await readDelta(runDir, cycle);
  }
}

/** Removes every cycle after `lastCycle`, as when a run goes on from an earlier checkpoint. */
export async function truncateDeltas(runDir: string, lastCycle: number): Promise<void> {
  // From the end, so that an interruption leaves no gap.
  for (const cycle of (await presentCycles(runDir)).reverse()) {
    if (cycle > lastCycle) await removeTree(deltaPath(runDir, cycle));
  }
}

/** The numbers of the logged cycles: 1, 2, … @throws CheckpointError if one is missing. */
export async function loggedCycles(runDir: string): Promise<number[]> {
  const cycles = await presentCycles(runDir);
  const gap = cycles.findIndex((cycle, index) => cycle !== index + 1);
  if (gap >= 0) {
    throw new CheckpointError(
      `${joinPath(runDir, FOLDER)}: cycle ${gap + 1} is missing before ${cycles[gap]}; copy the run folder whole`,
    );
  }
  return cycles;
}

/** The numbers of all cycles in the log, rising; there may be gaps. */
export async function presentCycles(runDir: string): Promise<number[]> {
  const folder = await checkpointPath(runDir, FOLDER);
  const names = (await isDirectory(folder)) ? await listFolder(folder) : [];
  return names.flatMap((name) => FILE_NAME.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => a - b);
}

async function readDelta(runDir: string, cycle: number): Promise<Delta> {
  const { layers: stored, ...delta } = await openDelta(runDir, cycle);
  const layers = new Map<string, LoraPair>();
  for (const [name, pair] of stored) layers.set(name, await readPair(pair));
  return { ...delta, layers };
}

/**
 * A logged cycle whose tensors are read when they are asked for, so that it takes next to no memory. Its checksum is
 * not compared.
 * @throws CheckpointError for a file that does not fit.
 */
export async function openDelta(runDir: string, cycle: number): Promise<Delta<LazyTensor>> {
  const path = deltaPath(runDir, cycle);
  const { tensors, metadata } = await openSafetensors(path);
  const faults: string[] = [];
  const number = (key: string, isRight: (value: number) => boolean, rule: string): number => {
    const value = Number(metadata[key] || Number.NaN);
    if (!isRight(value)) faults.push(`metadata "${key}" must be ${rule}, not ${shownValue(metadata[key])}`);
    return value;
  };
  const count = (key: string): number =>
    number(key, (value) => Number.isSafeInteger(value) && value >= 0, "a number of 0 or more, without a fraction");
  const delta = { cycle: count("cycle"), step: count("step"), scaling: number("scaling", Number.isFinite, "a number") };
  if (Number.isFinite(delta.cycle) && delta.cycle !== cycle)
    faults.push(`it holds cycle ${delta.cycle} instead of ${cycle}`);
  const layers = peftLayers(tensors, faults);
  const scalings = readScalings(metadata.scalings, layers, faults);
  for (const [module, { loraA, loraB, magnitude }] of layers) {
    const [a, b] = [loraA.shape, loraB.shape];
    const isFloat32 = loraA.dtype === "float32" && loraB.dtype === "float32";
    if (magnitude !== undefined && (magnitude.dtype !== "float32" || !sameShape(magnitude.shape, b.slice(0, 1)))) {
      faults.push(`${module}: lora_magnitude_vector ${describeTensor(magnitude)} must be float32 of shape (out)`);
    }
    if (isFloat32 && a.length === 2 && b.length === 2 && a[0] === b[1]) continue;
    const shapes = `lora_A ${describeTensor(loraA)} and lora_B ${describeTensor(loraB)}`;
    faults.push(`${module}: ${shapes} must be float32 of shape (rank, in) and (out, rank)`);
  }
  if (faults.length > 0) throw checkpointFault(path, faults);
  return { ...delta, ...(scalings.size > 0 && { scalings }), layers };
}

function readScalings(
  text: string | undefined,
  layers: ReadonlyMap<string, unknown>,
  faults: string[],
): Map<string, number> {
  if (text === undefined) return new Map();
  const values = tryParseJson(text);
  if (isObject(values) && Object.entries(values).every(([name, value]) => layers.has(name) && Number.isFinite(value))) {
    return new Map(Object.entries(values as Record<string, number>));
  }
  faults.push(`metadata "scalings" must be an object of numbers by layer, not ${shownValue(text)}`);
  return new Map();
}

/** Undefined for text that is not JSON. */
function tryParseJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
