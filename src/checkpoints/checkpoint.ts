import {
  exists,
  isDirectory,
  joinPath,
  listFolder,
  readText,
  removeTree,
  renamePath,
  sha256File,
  writeFileAtomic,
  writeFolderAtomic,
} from "#platform";
import type { HostTensor } from "../tensor/dtype.js";
import { CheckpointError } from "../tensor/errors.js";
import { checkpointFault } from "./faults.js";
import { readJsonObject, toJsonText } from "./json-file.js";
import { readSafetensors, writeSafetensors } from "./safetensors.js";

/** Version of the layout of state.json; a checkpoint of another one is refused. */
const SCHEMA_VERSION = 1;
const STATE = "state.json";
const CHECKSUMS = "checksums.json";
const NAME = /^checkpoint-(\d{6,})$/;

/** What a checkpoint is written from. */
export interface CheckpointContent {
  /** Values that JSON holds exactly: finite numbers, text, booleans, null, arrays and objects of them. */
  readonly state: Readonly<Record<string, unknown>>;
  /** Each goes to NAME.safetensors: `trainable`, `optimizer`. */
  readonly tensorFiles: Readonly<Record<string, ReadonlyMap<string, HostTensor>>>;
  /** Each writes the folder of its name, which does not exist yet: `adapter`. */
  readonly folders?: Readonly<Record<string, (folder: string) => Promise<void>>>;
}

/** What a checkpoint holds. */
export interface Checkpoint {
  readonly step: number;
  readonly folder: string;
  /** The state that was given, with `schemaVersion` and `step`. */
  readonly state: Record<string, unknown>;
  /** By the names under which they were written. */
  readonly tensorFiles: Record<string, Map<string, HostTensor>>;
}

/**
 * Writes RUN/checkpoint-000100 for step 100, whole or not at all, then lets RUN/last name it. A checkpoint of the same step is
 * replaced. Returns its folder. @throws CheckpointError
 */
export async function writeCheckpoint(
  runDir: string,
  step: number,
  { state, tensorFiles, folders = {} }: CheckpointContent,
): Promise<string> {
  const folder = joinPath(runDir, checkpointName(step));
  await writeFolderAtomic(
    folder,
    async (partial) => {
      const stateText = toJsonText({ ...state, schemaVersion: SCHEMA_VERSION, step }, STATE);
      await writeFileAtomic(joinPath(partial, STATE), stateText);
      for (const [name, tensors] of Object.entries(tensorFiles)) {
        await writeSafetensors(joinPath(partial, `${name}.safetensors`), tensors);
      }
      for (const [name, write] of Object.entries(folders)) await write(joinPath(partial, name));
      const checksums: Record<string, string> = {};
      for (const file of await filesIn(partial)) checksums[file] = await sha256File(joinPath(partial, file));
      await writeFileAtomic(joinPath(partial, CHECKSUMS), toJsonText(checksums, CHECKSUMS));
    },
    { replace: true },
  );
  await point(runDir, "last", step);
  return folder;
}

/**
 * Reads a checkpoint after comparing every file with its checksum.
 * @throws CheckpointError that names each file that is missing or differs, and the other checkpoints of the run.
 */
export async function readCheckpoint(runDir: string, which: "last" | "best" | number): Promise<Checkpoint> {
  const step = typeof which === "number" ? which : await pointedStep(runDir, which);
  const folder = joinPath(runDir, checkpointName(step));
  const others = (await listCheckpoints(runDir)).filter((other) => other !== step).map(checkpointName);
  const wayOut = others.length > 0 ? `the run also has ${others.join(", ")}` : "the run has no other";
  if (!(await isDirectory(folder))) throw new CheckpointError(`${folder} does not exist; ${wayOut}`);

  const checksums = await readJsonObject(joinPath(folder, CHECKSUMS));
  const present = (await filesIn(folder)).filter((file) => file !== CHECKSUMS);
  const faults = Object.keys(checksums)
    .filter((file) => !present.includes(file))
    .map((file) => `${file} is missing`);
  for (const file of present) {
    if (checksums[file] === undefined) faults.push(`${file} has no checksum`);
    else if ((await sha256File(joinPath(folder, file))) !== checksums[file])
      faults.push(`${file} differs from its checksum`);
  }
  if (faults.length > 0) throw checkpointFault(`${folder} is damaged (${wayOut})`, faults);
  const state = await readJsonObject(joinPath(folder, STATE));
  if (state.schemaVersion !== SCHEMA_VERSION || state.step !== step) {
    throw new CheckpointError(
      `${joinPath(folder, STATE)}: schemaVersion must be ${SCHEMA_VERSION} and step ${step}, not ` +
        `${JSON.stringify(state.schemaVersion)} and ${JSON.stringify(state.step)}; use the version of highrank that wrote it`,
    );
  }
  const tensorFiles: Checkpoint["tensorFiles"] = {};
  for (const file of await listFolder(folder)) {
    const name = /^(.+)\.safetensors$/.exec(file)?.[1];
    if (name !== undefined) tensorFiles[name] = (await readSafetensors(joinPath(folder, file))).tensors;
  }
  return { step, folder, state, tensorFiles };
}

/** Steps of the run's checkpoints, rising. */
export async function listCheckpoints(runDir: string): Promise<number[]> {
  const names = (await isDirectory(runDir)) ? await listFolder(runDir) : [];
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
 * Removes all checkpoints but the newest `keep` and those that `last` and `best` name, and what interrupted writes left.
 * Returns the steps removed.
 */
export async function pruneCheckpoints(runDir: string, keep: number): Promise<number[]> {
  const steps = await listCheckpoints(runDir);
  const kept = new Set(steps.slice(Math.max(0, steps.length - keep)));
  for (const pointer of ["last", "best"] as const) {
    if (await exists(joinPath(runDir, pointer))) kept.add(await pointedStep(runDir, pointer));
  }
  const removed = steps.filter((step) => !kept.has(step));
  for (const step of removed) {
    // Renamed first, so that an interruption leaves no checkpoint with files missing.
    const doomed = joinPath(runDir, `.${checkpointName(step)}.removed.partial`);
    await removeTree(doomed);
    await renamePath(joinPath(runDir, checkpointName(step)), doomed);
  }
  for (const name of await listFolder(runDir)) {
    if (/^\.checkpoint-\d+\..*\.partial$/.test(name)) await removeTree(joinPath(runDir, name));
  }
  return removed;
}

function checkpointName(step: number): string {
  return `checkpoint-${String(step).padStart(6, "0")}`;
}

async function point(runDir: string, pointer: "last" | "best", step: number): Promise<void> {
  await writeFileAtomic(joinPath(runDir, pointer), `${checkpointName(step)}\n`);
}

async function pointedStep(runDir: string, pointer: "last" | "best"): Promise<number> {
  const path = joinPath(runDir, pointer);
  if (!(await exists(path))) {
    throw new CheckpointError(`${path} does not exist: the run has saved no checkpoint of that kind; check the path`);
  }
  const name = (await readText(path)).trim();
  const step = NAME.exec(name)?.[1];
  if (step === undefined) {
    throw new CheckpointError(`${path} must name a checkpoint, as checkpoint-000100, not ${JSON.stringify(name)}`);
  }
  return Number(step);
}

/** Paths of all files below the folder, relative to it, with forward slashes. */
async function filesIn(folder: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  for (const name of await listFolder(joinPath(folder, below))) {
    const path = below === "" ? name : `${below}/${name}`;
    if (await isDirectory(joinPath(folder, path))) files.push(...(await filesIn(folder, path)));
    else files.push(path);
  }
  return files;
}
