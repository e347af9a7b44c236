import { exists, joinPath } from "#platform";
import { adaptersOf } from "../../adapters/inject.js";
import { HighrankError } from "../../base/errors.js";
import { append } from "../../base/lists.js";
import type { Settings } from "../../config/settings.js";
import { checksumFaults } from "../../files/checksums.js";
import type { LazyTensor } from "../../files/lazy-tensor.js";
import { openSafetensors } from "../../files/safetensors.js";
import type { StoredTensor } from "../../files/stored-tensor.js";
import { trainedParameters } from "../../loading/model-source.js";
import type { CausalLM } from "../../models/causal-lm.js";
import { globalNorm } from "../../optim/clip.js";
import { planRun, planStep } from "../../relora/plan.js";
import { readCheckpointState } from "../../runs/checkpoint.js";
import { parseRunState, plannedBy, type RunState } from "../../runs/run-state.js";
import { startShapes } from "../../runs/saving.js";
import { formatShape, type Shape, sameShape } from "../../tensor/shape.js";

/** A checkpoint as its own files have it. */
export interface CheckedCheckpoint {
  readonly faults: readonly string[];
  /** Null unless the files are as they were written. */
  readonly state: RunState | null;
}

/** The shape that a run must have: its settings, and a model without values for each phase. */
export interface Expected {
  readonly settings: Settings;
  /** The model while every weight trains; null if there is no such phase. */
  readonly full: CausalLM | null;
  /** The model with adapters; null for the method full. */
  readonly adapted: CausalLM | null;
}

/**
 * Compares a checkpoint's files with their checksums, its state with the plan of the run and its tensors with the
 * model, one tensor in memory at a time.
 * @param expected null if it is not known; then the tensors are compared with one another.
 */
export async function checkCheckpoint(
  folder: string,
  step: number,
  expected: Expected | null,
): Promise<CheckedCheckpoint> {
  const faults: string[] = [];
  await collect(faults, async () => append(faults, await checksumFaults(folder)));
  if (faults.length > 0) return { faults, state: null };
  let state: RunState | null = null;
  await collect(faults, async () => {
    state = parseRunState(await readCheckpointState(folder, step), "state.json");
    if (expected !== null) append(faults, planFaults(step, state, expected.settings));
    const model = state.phase === "adapter" ? expected?.adapted : expected?.full;
    await collect(faults, () => checkTensors(folder, state!, model ?? null, faults));
  });
  return { faults, state };
}

/** Calls `look`; an error of our own becomes a fault. */
export async function collect(faults: string[], look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    if (!(error instanceof HighrankError)) throw error;
    faults.push(error.message);
  }
}

function planFaults(step: number, state: RunState, settings: Settings): string[] {
  const { seed, phase, cycle, maxSteps, deltas, dataPosition } = state;
  if (seed !== settings.seed) return [`it belongs to a run with seed ${seed}; this one has seed ${settings.seed}`];
  if (step > maxSteps) return [`it belongs to a run of ${maxSteps} steps`];
  const config = { ...settings, ...plannedBy(state) };
  const plan = planStep(step, config);
  const faults: string[] = [];
  if (phase !== plan.phase || cycle !== plan.cycle) {
    faults.push(`phase ${phase}, cycle ${cycle}, but step ${step} is in phase ${plan.phase}, cycle ${plan.cycle}`);
  }
  const merges = planRun(config).merges.filter((merge) => merge <= step).length;
  const rows = step * settings.totalBatchSize;
  if (dataPosition.epoch === 0 && dataPosition.row !== rows) {
    faults.push(`row ${dataPosition.row} of the data, but step ${step} comes after ${rows}`);
  }
  if (deltas.length !== merges) faults.push(`${deltas.length} merged cycles, but step ${step} comes after ${merges}`);
  return faults;
}

async function checkTensors(
  folder: string,
  { optimizerSteps }: RunState,
  model: CausalLM | null,
  faults: string[],
): Promise<void> {
  const open = async (name: string): Promise<ReadonlyMap<string, StoredTensor>> =>
    (await openSafetensors(joinPath(folder, `${name}.safetensors`))).tensors;
  const trainable = await open("trainable");
  const shapes = new Map(
    [...(model === null ? trainable : trainedParameters(model))].map(([name, { shape }]) => [name, shape] as const),
  );
  await compareTensors("trainable", trainable, shapes, faults);
  const moments = [...shapes].flatMap(([name, shape]) =>
    ["exp_avg", "exp_avg_sq"].map((moment) => [`${name}.${moment}`, shape] as const),
  );
  await compareTensors("optimizer", await open("optimizer"), new Map(moments), faults);
  for (const name of shapes.keys()) {
    if (optimizerSteps[name] === undefined) faults.push(`state.json: no optimizer steps for ${name}`);
  }
  if (!(await exists(joinPath(folder, "adapter_start.safetensors")))) return;
  const starts = await open("adapter_start");
  const known =
    model === null
      ? new Map([...starts].map(([name, { shape }]) => [name, shape] as const))
      : startShapes(adaptersOf(model), starts);
  await compareTensors("adapter_start", starts, known, faults);
}

/** Reads one tensor after another. Missing and unknown ones, other shapes and values that are not finite are faults. */
export async function compareTensors(
  where: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  expected: ReadonlyMap<string, Shape>,
  faults: string[],
): Promise<void> {
  for (const name of expected.keys()) if (!tensors.has(name)) faults.push(`${where}: ${name} is missing`);
  for (const [name, tensor] of tensors) {
    const shape = expected.get(name);
    if (shape === undefined) faults.push(`${where}: the model has no ${name}`);
    else if (tensor.dtype !== "float32" || !sameShape(tensor.shape, shape)) {
      const is = `${tensor.dtype} ${formatShape(tensor.shape)}`;
      faults.push(`${where}: ${name} is ${is}, the model needs float32 ${formatShape(shape)}`);
    } else if (!(await isAllFinite(tensor))) faults.push(`${where}: ${name} holds numbers that are not finite`);
  }
}

/** Squares of float32 numbers do not overflow the norm's float64. */
async function isAllFinite(tensor: LazyTensor): Promise<boolean> {
  return Number.isFinite(globalNorm([(await tensor.read()) as Float32Array]));
}
