import { isModelPreset } from "../../dist/config/presets.js";
import { startWorker, Worker } from "../../dist/platform/browser-workers.js";
import type { PromptWorker } from "./prompt-client.ts";
import { DATA, DOWNLOADS, exists, fileOf, joinPath, pathsBelow, RUNS, readText, removeTree, save } from "./storage.ts";
import type { ZipEntry, ZipMessage } from "./zip-worker.ts";

/** What can be taken along of a run. */
export const PARTS = { adapter: "Adapter (PEFT)", model: "Model", run: "Run" } as const;
export type Part = keyof typeof PARTS;

const inRun = (run: string, ...path: string[]): string => joinPath(RUNS, run, ...path);

const LOCK = "highrank-downloads";
let isHeld = false;

/** Removes what earlier visits saved elsewhere, unless another tab is at it. */
export async function removeOldDownloads(): Promise<void> {
  await navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock === null ? null : removeTree(DOWNLOADS)));
}

/** Keeps other tabs from that, as long as this one is open: the browser reads the files when it likes. */
function keepDownloads(): void {
  if (isHeld) return;
  isHeld = true;
  void navigator.locks.request(LOCK, { mode: "shared" }, () => new Promise(() => {}));
}

/**
 * Puts a part of a run into a zip file, and saves that.
 * @param hear what is being done.
 * @throws Error in words for the visitor.
 */
export async function download(run: string, part: Part, worker: PromptWorker, hear: (words: string) => void) {
  keepDownloads();
  const entries = await entriesOf(run, part, worker, hear);
  const name = part === "run" ? `${run}.zip` : `${run}-${part}.zip`;
  const out = joinPath(DOWNLOADS, name);
  await zip(out, entries, (share) => hear(`${name}: ${Math.round(100 * share)} %`));
  save(await fileOf(out), name);
  hear(`${name} is ready.`);
}

async function entriesOf(
  run: string,
  part: Part,
  worker: PromptWorker,
  hear: (words: string) => void,
): Promise<ZipEntry[]> {
  if (part !== "run") {
    const own = await entriesBelow(await folderOf(run, part, worker, hear), `${run}/${part}`);
    // The weights below an adapter are in this browser alone where they began at random.
    const isAlone = part === "adapter" && isModelPreset(String((await settingsOf(run)).model));
    return isAlone ? [...own, ...(await entriesBelow(inRun(run, "base"), `${run}/base`))] : own;
  }
  const data = await dataOf(run);
  return [...(await entriesBelow(inRun(run), run)), ...data.map((path) => ({ path, name: path.slice(1) }))];
}

/** The folder that the run wrote when it ended, or one that is made of its newest checkpoint. */
async function folderOf(run: string, part: "adapter" | "model", worker: PromptWorker, hear: (words: string) => void) {
  const made = inRun(run, part);
  if (await exists(joinPath(made, "checksums.json"))) return made;
  const out = joinPath(DOWNLOADS, `${run}-${part}`);
  await removeTree(out);
  hear(`Making the ${part} of the newest checkpoint …`);
  await worker.export(inRun(run), part === "adapter" ? "peft" : "hf", out);
  return out;
}

async function entriesBelow(folder: string, name: string): Promise<ZipEntry[]> {
  const paths = await pathsBelow(folder);
  const isNeeded = (path: string): boolean => !path.endsWith("/lock");
  return paths.filter(isNeeded).map((path) => ({ path, name: name + path.slice(folder.length) }));
}

/** The data that a run needs to go on, where they are in this browser. */
export async function dataOf(run: string): Promise<string[]> {
  const { data, validData } = await settingsOf(run);
  const paths = [data, validData].filter((path) => typeof path === "string" && path.startsWith(`${DATA}/`)) as string[];
  const there = await Promise.all(paths.map(exists));
  return paths.filter((_, index) => there[index]);
}

async function settingsOf(run: string): Promise<Readonly<Record<string, unknown>>> {
  const file = inRun(run, "config.resolved.json");
  try {
    return (await exists(file)) ? JSON.parse(await readText(file)) : {};
  } catch {
    return {}; // of a run that is damaged nothing is known
  }
}

function zip(out: string, entries: readonly ZipEntry[], onShare: (share: number) => void): Promise<void> {
  const worker = startWorker(new Worker(new URL("./zip-worker.ts", import.meta.url), { type: "module" }), {
    ...{ out, entries },
  });
  return new Promise<void>((resolve, reject) => {
    worker.onError(reject);
    worker.onMessage((message) => {
      const { share, done, fault } = message as ZipMessage;
      if (share !== undefined) onShare(share);
      if (fault !== undefined) reject(new Error(fault));
      if (done) resolve();
    });
  }).finally(() => worker.terminate());
}
