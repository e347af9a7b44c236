import { exists, fileSize, filesBelow, joinPath, readText, sha256 } from "#platform";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { listCheckpoints } from "../runs/checkpoint.js";
import { parseRunState } from "../runs/run-state.js";
import type { RunStatus } from "./study-run.js";

/** Facts from a run's files beside its metrics. */
export interface RunFiles {
  /** Bytes of the tensors in the newest checkpoint. */
  readonly checkpointBytes: number;
  /** True if that checkpoint is from after the warm start, or there was none. */
  readonly adapted: boolean;
  /** SHA-256 of the weights in base/: the initial ones, or those at the end of the warm start. */
  readonly baseSha256: string;
  /** SHA-256 of the tokens to train on and of those held out. */
  readonly dataSha256: string;
  /** Changes with every byte of the newest checkpoint. */
  readonly checkpointSha256: string;
}

/** Null for a run without a checkpoint. */
export async function readRunFiles({ run: { folder } }: RunStatus): Promise<RunFiles | null> {
  const step = (await listCheckpoints(folder)).at(-1);
  if (step === undefined) return null;
  const checkpoint = await checkpointPath(folder, `checkpoint-${String(step).padStart(6, "0")}`);
  let checkpointBytes = 0;
  for (const file of await filesBelow(checkpoint)) {
    if (file.endsWith(".safetensors")) checkpointBytes += await fileSize(joinPath(checkpoint, file));
  }
  const file = await checkpointPath(checkpoint, "state.json");
  const { phase, base, dataSha256 } = parseRunState(await readJsonObject(file), file);
  const checksums = new TextEncoder().encode(await readText(await checkpointPath(checkpoint, "checksums.json")));
  const adapted = phase === "adapter";
  return { checkpointBytes, adapted, baseSha256: base.sha256, dataSha256, checkpointSha256: sha256(checksums) };
}

/** The machine that a run was started on, in words; null where it left none. */
export async function readMachine({ run: { folder } }: RunStatus): Promise<string | null> {
  const file = await checkpointPath(folder, "env.json");
  if (!(await exists(file))) return null;
  const { started: _, threads, ...versions } = await readJsonObject(file);
  const names = Object.entries(versions).map(([name, value]) => (name === "platform" ? value : `${name} ${value}`));
  return [...names, `${threads} ${threads === 1 ? "thread" : "threads"}`].join(", ");
}
