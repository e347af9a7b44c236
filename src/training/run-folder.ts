import {
  absolutePath,
  appendLine,
  baseName,
  exists,
  isDirectory,
  joinPath,
  listFolder,
  makeFolder,
  readText,
  removeTree,
  runtimeVersions,
  writeFileAtomic,
} from "#platform";
import type { Settings } from "../config/settings.js";
import { ConfigError } from "../tensor/errors.js";
import { formatMetricsLine, type MetricsRecord } from "./metrics.js";
import { renderReport } from "./report.js";

const SETTINGS_FILE = "config.resolved.json";
const METRICS_FILE = "metrics.jsonl";

/** What a run may leave in its folder, at the top level. */
const OWN_FILES = /^(config\.resolved\.json|env\.json|metrics\.jsonl|report\.html|best|last)$/;
const OWN_FOLDERS = /^(base|deltas|adapter|model|checkpoint-\d+)$/;
const PARTIAL = /^\..*\.partial$/;

/** The folder of a run: its settings, environment, metrics and report. Models and checkpoints are written into it by others. */
export class RunFolder {
  readonly path: string;
  readonly #settings: Settings;
  readonly #records: MetricsRecord[] = [];

  /** Writes nothing yet. */
  constructor(path: string, settings: Settings) {
    this.path = path;
    this.#settings = settings;
  }

  /** Makes the folder, or empties it of an earlier run, and writes what stays the same in the run. */
  async create(threads: number): Promise<void> {
    for (const name of await ownEntries(this.path)) await removeTree(joinPath(this.path, name));
    await makeFolder(this.path);
    await writeFileAtomic(joinPath(this.path, SETTINGS_FILE), jsonText({ ...this.#settings, out: this.path }));
    await writeFileAtomic(joinPath(this.path, "env.json"), jsonText(await environment(threads)));
  }

  /** Adds a line to metrics.jsonl. */
  async record(record: MetricsRecord): Promise<void> {
    this.#records.push(record);
    await appendLine(joinPath(this.path, METRICS_FILE), formatMetricsLine(record).trimEnd());
  }

  /** Writes report.html anew from all records so far. */
  async writeReport(): Promise<void> {
    const title = `${baseName(this.path)}: ${this.#settings.method} of ${this.#settings.model}`;
    const report = await renderReport({ title, settings: this.#settings, records: this.#records });
    await writeFileAtomic(joinPath(this.path, "report.html"), report);
  }
}

/** Whether a folder holds a run. */
export function isRunFolder(path: string): Promise<boolean> {
  return exists(joinPath(path, SETTINGS_FILE));
}

/** The settings that a run was started with. */
export async function readRunSettings(path: string): Promise<Settings> {
  return JSON.parse(await readText(joinPath(path, SETTINGS_FILE)));
}

/**
 * Where the run will write; nothing is written yet. Without `out` it is the next number under runs/.
 * @throws ConfigError if the folder holds files that the run must not replace.
 */
export async function chooseRunFolder({ out, overwrite, model, method }: Settings): Promise<string> {
  if (out === null) return nextUnder("runs", `${baseName(absolutePath(model))}-${method}`);
  if (!(await exists(out))) return out;
  if (!(await isDirectory(out))) throw new ConfigError(`out: ${out} is a file; name a folder`);
  const names = await listFolder(out);
  if (names.length === 0) return out;
  if (!(await isRunFolder(out))) {
    throw new ConfigError(
      `out: ${out} is not empty and holds no run of highrank, so nothing in it is replaced; name another folder`,
    );
  }
  if (!overwrite) {
    throw new ConfigError(`out: ${out} holds a run already; name another folder, or replace it with --overwrite`);
  }
  const own = new Set(await ownEntries(out));
  const others = names.filter((name) => !own.has(name));
  if (others.length > 0) {
    throw new ConfigError(
      `out: ${out} holds ${others.join(", ")} beside a run, which --overwrite does not replace; move it or name another`,
    );
  }
  return out;
}

async function nextUnder(parent: string, suffix: string): Promise<string> {
  const names = (await isDirectory(parent)) ? await listFolder(parent) : [];
  const last = Math.max(0, ...names.map((name) => Number(/^\d+/.exec(name)?.[0] ?? 0)));
  return joinPath(parent, `${String(last + 1).padStart(3, "0")}-${suffix}`);
}

async function ownEntries(path: string): Promise<string[]> {
  if (!(await isDirectory(path))) return [];
  const own: string[] = [];
  for (const name of await listFolder(path)) {
    const pattern = (await isDirectory(joinPath(path, name))) ? OWN_FOLDERS : OWN_FILES;
    if (pattern.test(name) || PARTIAL.test(name)) own.push(name);
  }
  return own;
}

async function environment(threads: number): Promise<Record<string, unknown>> {
  return { ...(await runtimeVersions()), threads, started: new Date().toISOString() };
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
