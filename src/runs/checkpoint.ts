import {
  exists,
  isDirectory,
  joinPath,
  listFolder,
  readText,
  removeFolderAtomic,
  removeTree,
  writeFileAtomic,
} from "#platform";
import { CheckpointError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { checksumFaults, unlistedFiles, writeFolder } from "../files/checksums.js";
import { checkpointFault } from "../files/faults.js";
import { readJsonObject, toJsonText } from "../files/json-file.js";
import { checkpointPath, orCheckpointError } from "../files/open-file.js";
import { readSafetensors, writeSafetensors } from "../files/safetensors.js";
import type { HostTensor } from "../tensor/dtype.js";

/** Version of the layout of state.json; a checkpoint of another one is refused. */
const SCHEMA_VERSION = 1;
const STATE = "state.json";
const NAME = /^checkpoint-(\d{6,})$/;

/** Contents of a checkpoint to write. */
export interface CheckpointContent {
  /** Values that JSON holds exactly: finite numbers, text, booleans, null, arrays and objects of them. */
  readonly state: Readonly<Record<string, unknown>>;
  /** Each goes to NAME.safetensors: `trainable`, `optimizer`. */
  readonly tensorFiles: Readonly<Record<string, ReadonlyMap<string, HostTensor>>>;
  /** Each writes the folder of its name, which does not exist yet: `adapter`. */
  readonly folders?: Readonly<Record<string, (folder: string) => Promise<void>>>;
}

/** A checkpoint of a run: the one that a pointer names, or that of a step. */
export type CheckpointName = "last" | "best" | number;

/** Contents of a checkpoint. */
export interface Checkpoint {
  readonly step: number;
  readonly folder: string;
  /** The state that was given, with `schemaVersion` and `step`. */
  readonly state: Record<string, unknown>;
  /** By the names under which they were written. */
  readonly tensorFiles: Record<string, Map<string, HostTensor>>;
}

/**
 * Writes RUN/checkpoint-000100 for step 100, whole or not at all, then lets RUN/last name it. A checkpoint of the
 * same step is replaced. Returns its folder. @throws CheckpointError
 */
export async function writeCheckpoint(
  runDir: string,
  step: number,
  { state, tensorFiles, folders = {} }: CheckpointContent,
): Promise<string> {
  const folder = joinPath(runDir, checkpointName(step));
  await writeFolder(
    folder,
    async (partial) => {
      const stateText = toJsonText({ ...state, schemaVersion: SCHEMA_VERSION, step }, STATE);
      await writeFileAtomic(joinPath(partial, STATE), stateText);
      for (const [name, tensors] of Object.entries(tensorFiles)) {
        await writeSafetensors(joinPath(partial, `${name}.safetensors`), tensors);
      }
      for (const [name, write] of Object.entries(folders)) await write(joinPath(partial, name));
    },
    { replace: true, checksums: true },
  );
  await point(runDir, "last", step);
  return folder;
}

/**
 * Reads a checkpoint after comparing every file with its checksum.
 * @throws CheckpointError that names each file that is missing or differs, and the other checkpoints of the run.
 */
export async function readCheckpoint(runDir: string, which: CheckpointName): Promise<Checkpoint> {
  const step = typeof which === "number" ? which : await pointedStep(runDir, which);
  await verifyCheckpoint(runDir, step);
  const folder = joinPath(runDir, checkpointName(step));
  const state = await readCheckpointState(folder, step);
  const tensorFiles = new Map<string, Map<string, HostTensor>>();
  for (const file of await listFolder(folder)) {
    const name = /^(.+)\.safetensors$/.exec(file)?.[1];
    if (name === undefined) continue;
    tensorFiles.set(name, (await readSafetensors(await checkpointPath(folder, file))).tensors);
  }
  return { step, folder, state, tensorFiles: Object.fromEntries(tensorFiles) };
}

/**
 * The state in a checkpoint's folder. @throws CheckpointError if it is none of this step, or of another version's
 * layout.
 */
export async function readCheckpointState(folder: string, step: number): Promise<Record<string, unknown>> {
  const state = await readJsonObject(await checkpointPath(folder, STATE));
  if (state.schemaVersion !== SCHEMA_VERSION || state.step !== step) {
    throw new CheckpointError(
      `${joinPath(folder, STATE)}: schemaVersion must be ${SCHEMA_VERSION} and step ${step}, not ` +
        `${shownValue(state.schemaVersion)} and ${shownValue(state.step)}; use the version of highrank that wrote it`,
    );
  }
  return state;
}

/**
 * Compares every file of a checkpoint with its checksum.
 * @throws CheckpointError that names each file that is missing or differs, and the other checkpoints of the run.
 */
export async function verifyCheckpoint(runDir: string, step: number): Promise<void> {
  const folder = await checkpointPath(runDir, checkpointName(step));
  const others = (await listCheckpoints(runDir)).filter((other) => other !== step).map(checkpointName);
  const wayOut = others.length > 0 ? `the run also has ${others.join(", ")}` : "the run has no other";
  if (!(await isDirectory(folder))) throw new CheckpointError(`${folder} does not exist; ${wayOut}`);
  const faults = await checksumFaults(folder);
  if (faults.length > 0) throw checkpointFault(`${folder} is damaged (${wayOut})`, faults);
}

/** Steps of the run's checkpoints, rising. */
export async function listCheckpoints(runDir: string): Promise<number[]> {
  const names = (await isDirectory(runDir)) ? await listFolder(runDir) : [];
  return stepsNamed(names);
}

/** The steps of the checkpoints among the names, rising. */
export function stepsNamed(names: readonly string[]): number[] {
  return names.flatMap((name) => NAME.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => a - b);
}

/** Lets RUN/best name the checkpoint of this step, which must exist. */
export async function markBest(runDir: string, step: number): Promise<void> {
  if (!(await isDirectory(joinPath(runDir, checkpointName(step))))) {
    throw new CheckpointError(`markBest: ${runDir} has no ${checkpointName(step)}; write it first`);
  }
  await point(runDir, "best", step);
}

/**
 * Makes a checkpoint the last one and removes those after it; wherever that ends, `last` names a whole one.
 * @param best the checkpoint that RUN/best is to name, where it is there.
 */
export async function goBackTo(runDir: string, step: number, best: number | null): Promise<void> {
  await point(runDir, "last", step);
  const steps = await listCheckpoints(runDir);
  if (best !== null && steps.includes(best)) await point(runDir, "best", best);
  else await removeTree(joinPath(runDir, "best"));
  for (const later of steps) if (later > step) await removeCheckpoint(runDir, later);
}

/** The outcome of pruning. */
export interface Pruned {
  /** Steps of the checkpoints that were removed, rising. */
  readonly removed: readonly number[];
  /** Files of others, as `checkpoint-000100/notes.md`, for which checkpoints were kept. */
  readonly others: readonly string[];
}

/**
 * Removes all checkpoints but the newest `keep`, those that `last` and `best` name and those that hold files of others,
 * and what interrupted writes left.
 * @throws CheckpointError, before anything is removed, if the checkpoint that `last` names is damaged.
 */
export async function pruneCheckpoints(runDir: string, keep: number): Promise<Pruned> {
  const steps = await listCheckpoints(runDir);
  const kept = new Set(steps.slice(Math.max(0, steps.length - keep)));
  const names = await listFolder(runDir);
  for (const pointer of ["last", "best"] as const) {
    if (names.includes(pointer)) kept.add(await pointedStep(runDir, pointer));
  }
  const [removed, others]: [number[], string[]] = [[], []];
  for (const step of steps.filter((each) => !kept.has(each))) {
    const name = checkpointName(step);
    const found = await unlistedFiles(joinPath(runDir, name));
    if (found.length === 0) removed.push(step);
    for (const file of found) others.push(`${name}/${file}`);
  }
  // What is removed could be needed if the newest were damaged.
  if (removed.length > 0 && names.includes("last")) await verifyCheckpoint(runDir, await pointedStep(runDir, "last"));
  for (const step of removed) await removeCheckpoint(runDir, step);
  for (const name of await listFolder(runDir)) {
    if (/^\.checkpoint-\d+\..*\.partial$/.test(name)) await removeTree(joinPath(runDir, name));
  }
  return { removed, others };
}

async function removeCheckpoint(runDir: string, step: number): Promise<void> {
  const name = checkpointName(step);
  // What had once stepped aside for it must not come back in its place.
  for (const entry of await listFolder(runDir)) {
    if (entry.startsWith(`.${name}.`)) await removeTree(joinPath(runDir, entry));
  }
  await removeFolderAtomic(joinPath(runDir, name));
}

/** The name of a checkpoint's folder. */
export function checkpointName(step: number): string {
  return `checkpoint-${String(step).padStart(6, "0")}`;
}

async function point(runDir: string, pointer: "last" | "best", step: number): Promise<void> {
  await writeFileAtomic(joinPath(runDir, pointer), `${checkpointName(step)}\n`);
}

/**
 * The step of the checkpoint that RUN/last or RUN/best names. Where a run ended before it wrote `last`, the newest
 * one stands in.
 * @throws CheckpointError
 */
export async function pointedStep(runDir: string, pointer: "last" | "best"): Promise<number> {
  const path = await checkpointPath(runDir, pointer);
  if (!(await exists(path))) {
    // A process was killed when it had written the first one.
    const newest = (await listCheckpoints(runDir)).at(-1);
    if (pointer === "last" && newest !== undefined) return newest;
    throw new CheckpointError(`${path} does not exist: the run has saved no checkpoint of that kind; check the path`);
  }
  const name = (await orCheckpointError(readText(path))).trim();
  const step = NAME.exec(name)?.[1];
  if (step === undefined) {
    throw new CheckpointError(`${path} must name a checkpoint, as checkpoint-000100, not ${shownValue(name)}`);
  }
  return Number(step);
}
