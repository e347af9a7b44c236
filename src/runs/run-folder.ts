import {
  AppendedFile,
  absolutePath,
  acquireLock,
  baseName,
  exists,
  type FollowedFolder,
  folderOf,
  followFolder,
  isDirectory,
  joinPath,
  type Lock,
  type LockHolder,
  listFolder,
  lockHolder,
  makeFolder,
  readText,
  recoverReplaced,
  removeEmpty,
  removeFolderAtomic,
  removeTree,
  requireRoom,
  runtimeVersions,
  syncFile,
  writeFileAtomic,
} from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { optionName, RUN_SETTINGS } from "../base/naming.js";
import { largest } from "../base/numbers.js";
import type { DataFacts, OpenSettings } from "../config/derive.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import { EARLIER_SETTINGS, withoutFollowers } from "../config/resume-settings.js";
import type { Settings } from "../config/settings.js";
import { ALONE, type Collective } from "../distributed/collective.js";
import { onFirst } from "../distributed/first.js";
import { sendFiles } from "../distributed/send-files.js";
import { unlistedFiles } from "../files/checksums.js";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { parseHubName } from "../hub/hub-name.js";
import { inputsOf, requireApart } from "../loading/output-folder.js";
import { filesBesideDeltas } from "../relora/delta-log.js";
import type { WrittenFolder } from "../relora/master-weights.js";
import { formatMetricsLine, type MetricsRecord, parseMetrics } from "./metrics.js";
import { renderReport } from "./report/report.js";
import { runTitle } from "./report/run-data.js";
import { filesBesideEvents, TENSORBOARD_FOLDER } from "./tensorboard.js";

export const METRICS_FILE = "metrics.jsonl";
const LOCK_FILE = "lock";

/** Files that a run may leave in its folder, at the top level. */
const OWN_FILES = /^(config\.resolved\.json|env\.json|metrics\.jsonl|report\.html|best|last|rank-\d+\.log)$/;
/** The lock, and those that are held while a dead process's lock is taken over. */
export const LOCK_FILES: RegExp = /^lock(\.takeover)*$/;
const OWN_FOLDERS = /^(base|deltas|adapter|model|tokens|tensorboard|checkpoint-\d+)$/;
/** What no rank reads of a run that goes on. */
const NOT_READ = /^(lock(\.takeover)*|report\.html|env\.json|rank-\d+\.log|model|adapter|tokens|tensorboard|\..*)$/;
const LEFTOVER = /^\..*\.(partial|previous)$/;

/**
 * The folder of a run: its lock, settings, environment, metrics and report. Models and checkpoints are written into it
 * by others. Where several processes train together, the first of them writes, and the others read. Must be released.
 */
export class RunFolder implements WrittenFolder {
  readonly ranks: Collective;
  /** A folder for ranks that do not see that of the first; null where all do. */
  readonly #scratch: string | null;
  #given: string;
  /** Folders that this run has made to have a number of its own, the inner one first. */
  readonly #reserved: string[] = [];
  #settings: Settings | undefined;
  #records: MetricsRecord[] = [];
  #lock: Lock | undefined;
  #followed: FollowedFolder | undefined;
  /** Files that grow by each record, by their names in the folder. */
  readonly #appended = new Map<string, AppendedFile>();

  /**
   * Writes nothing yet.
   * @param ranks the processes that train together.
   * @param scratch a folder for ranks that do not see that of the first: each keeps there what it reads later.
   */
  constructor(path: string, ranks: Collective = ALONE, scratch: string | null = null) {
    this.ranks = ranks;
    this.#scratch = ranks.size > 1 ? scratch : null;
    // In a command that is printed to be copied, a path must not look like an option.
    this.#given = path.startsWith("-") ? `./${path}` : path;
  }

  /** Where this rank keeps what it reads later, if it does not see the folder of the first. */
  get #own(): string | null {
    const { rank } = this.ranks;
    if (this.#scratch === null || rank === 0) return null;
    return joinPath(this.#scratch, `highrank-${baseName(absolutePath(this.#given))}-rank-${rank}`);
  }

  /**
   * Makes a numbered folder of its own, with the next number where another run has taken this one since it was chosen.
   * `release` removes it if nothing was written into it.
   */
  async reserve(): Promise<void> {
    this.#given = await onFirst(this.ranks, async () => {
      let path = this.#given;
      const [parent, suffix] = [folderOf(path), baseName(path).replace(/^\d+-/, "")];
      if (await makeFolder(parent)) this.#reserved.push(parent);
      while (!(await makeFolder(path))) path = await nextUnder(parent, suffix);
      this.#reserved.unshift(path);
      return path;
    });
  }

  /** Where the folder is: another place than at first where it was moved while this run holds it. */
  get path(): string {
    return this.#own ?? this.#followed?.path ?? this.#given;
  }

  /**
   * Does what writes into the folder, and does it again if the folder was moved in the midst of it. Of several ranks
   * the first does it, when all have come so far, and all get its result or its error.
   */
  write<T>(work: (path: string) => Promise<T>): Promise<T> {
    return onFirst(this.ranks, () => this.#write(work));
  }

  /** The same for what the other ranks neither need nor wait for. */
  async writeAlone(work: (path: string) => Promise<void>): Promise<void> {
    if (this.ranks.rank === 0) await this.#write(work);
  }

  async share<T>(work: (path: string) => Promise<T>): Promise<T> {
    const result = await this.write(work);
    return this.#own === null ? result : work(this.#own);
  }

  /** Removes what nobody needs any more. Of several ranks the first does, and none waits. */
  async tidy(work: (path: string) => Promise<void>): Promise<void> {
    if (this.ranks.rank === 0 || this.#own !== null) await work(this.path);
  }

  async #write<T>(work: (path: string) => Promise<T>): Promise<T> {
    const { path } = this;
    try {
      return await work(path);
    } catch (error) {
      if (this.path === path) throw error;
      await recoverReplaced(this.path);
      return this.#write(work);
    }
  }

  /**
   * Keeps other processes from writing into the folder, which must exist. Returns a notice about a process that died
   * here.
   * @throws ConfigError while another process holds it.
   */
  lock(): Promise<string | null> {
    return onFirst(this.ranks, () => this.#acquire());
  }

  async #acquire(): Promise<string | null> {
    if (this.#lock !== undefined) return null;
    this.#lock = await acquireLock(joinPath(this.path, LOCK_FILE));
    this.#followed = followFolder(this.path);
    const { takenOverFrom } = this.#lock;
    return takenOverFrom === null ? null : `${this.path}: took over from ${takenOverFrom}, which is gone.`;
  }

  async release(): Promise<void> {
    try {
      for (const file of this.#appended.values()) await file.close();
    } finally {
      await this.#lock?.release(joinPath(this.path, LOCK_FILE));
      this.#followed?.close();
      for (const folder of this.#reserved.splice(0)) await removeEmpty(folder);
      if (this.#own !== null) await removeTree(this.#own);
      this.#lock = this.#followed = undefined;
    }
  }

  /**
   * Makes and locks the folder, empties it of an earlier run, and writes settings and environment.
   * @throws ConfigError while another process holds it, and where one has made a run there since it was chosen.
   */
  async create(settings: Settings, threads: number): Promise<void> {
    await onFirst(this.ranks, () => this.#create(settings, threads));
    if (this.#own !== null) await makeEmpty(this.#own);
    this.#records = [];
    this.#settings = settings;
  }

  async #create(settings: Settings, threads: number): Promise<void> {
    await makeFolder(this.path);
    const isOurs = this.#lock !== undefined;
    await this.#acquire();
    if (!isOurs && !settings.overwrite && (await isRunFolder(this.path))) throw holdsRun(this.path);
    for (const name of await ownEntries(this.path)) {
      // Without its settings a folder is no run, should this be interrupted; they are replaced anyhow.
      if (name === LOCK_FILE || name === RUN_SETTINGS) continue;
      // What an interruption leaves of a folder, without its checksums, must not pass for files of somebody else.
      await (OWN_FOLDERS.test(name) ? removeFolderAtomic : removeTree)(joinPath(this.path, name));
    }
    await writeSettings(this.path, settings, this.path);
    await writeFileAtomic(joinPath(this.path, "env.json"), jsonText(await environment(threads)));
  }

  /**
   * Requires that the run wrote all that is in these of its folders; by default in all.
   * @throws CheckpointError if they cannot be listed; ConfigError that names the files of somebody else.
   */
  requireOwn(folders?: readonly string[]): Promise<void> {
    return this.write(async (path) => {
      const others = await othersIn(path, folders ?? (await ownEntries(path)));
      if (others.length === 0) return;
      throw new ConfigError(
        `${path} holds ${others.join(", ")} in folders of the run, which a resume does not replace; move it elsewhere`,
      );
    });
  }

  /**
   * Puts in order what a killed process left half done, and reads the metrics without a last line that was cut short.
   * To be called with the lock. Returns the records.
   */
  async recover(): Promise<readonly MetricsRecord[]> {
    await onFirst(this.ranks, async () => {
      for (const folder of [this.path, joinPath(this.path, "deltas")]) {
        if (await isDirectory(folder)) await recoverReplaced(folder);
      }
      if (isTorn(await this.#readMetrics())) await this.#rewriteMetrics();
    });
    if (this.#scratch !== null) {
      if (this.#own !== null) await makeEmpty(this.#own);
      await sendFiles(this.ranks, { from: this.path, to: this.#own, isLeftOut: (name) => NOT_READ.test(name) });
    }
    if (this.ranks.rank > 0) await this.#readMetrics();
    return this.#records;
  }

  /** Returns the text of the metrics, which is empty where there are none. */
  async #readMetrics(): Promise<string> {
    const metrics = await checkpointPath(this.path, METRICS_FILE);
    const text = (await exists(metrics)) ? await readText(metrics) : "";
    this.#records = parseMetrics(text, metrics);
    return text;
  }

  /**
   * Cuts the recovered metrics to their first `records`, of steps up to `step`, to go on with these settings.
   * @param reopens true if the merge of that step is taken back.
   */
  async goOn(
    settings: Settings,
    { step: last, records, reopens }: { step: number; records: number; reopens: boolean },
  ): Promise<void> {
    // Where lines are missing, the first ones reach beyond the step.
    this.#records = this.#records
      .slice(0, records)
      .filter(({ kind, step }) => step <= last && !(reopens && kind === "merge" && step === last));
    this.#settings = settings;
    await this.write(async (path) => {
      await this.#rewriteMetrics();
      await writeSettings(path, settings, path);
    });
  }

  async #rewriteMetrics(): Promise<void> {
    // Windows replaces no file that is open.
    await this.#appended.get(METRICS_FILE)?.close();
    await writeFileAtomic(joinPath(this.path, METRICS_FILE), this.#records.map(formatMetricsLine).join(""));
  }

  /** Adds a line to metrics.jsonl, which is written whole if somebody has removed it. The other ranks do not wait. */
  async record(record: MetricsRecord): Promise<void> {
    this.#records.push(record);
    await this.writeAlone(async (path) => {
      const before = await this.append(path, METRICS_FILE, formatMetricsLine(record));
      if (before === 0 && this.#records.length > 1) await this.#rewriteMetrics();
    });
  }

  /**
   * Appends to a file of the folder, which stays open until `release`.
   * @param path the folder, as `write` gives it.
   * @returns the length of the file before.
   */
  append(path: string, name: string, content: Uint8Array | string): Promise<number> {
    const file = this.#appended.get(name) ?? new AppendedFile();
    this.#appended.set(name, file);
    return file.append(joinPath(path, name), content);
  }

  /** The records of the run so far, in order. */
  get records(): readonly MetricsRecord[] {
    return this.#records;
  }

  /** Makes the metrics so far durable, and sees to it that the settings are there. Returns the number of records. */
  async syncRecords(): Promise<number> {
    const settings = this.#settings;
    await this.write(async (path) => {
      if (settings !== undefined && !(await isRunFolder(path))) await writeSettings(path, settings, path);
      await syncFile(joinPath(path, METRICS_FILE));
    });
    return this.#records.length;
  }

  /** Writes report.html anew from all records so far. The other ranks do not wait. */
  async writeReport(settings: Settings | undefined = this.#settings): Promise<void> {
    if (settings === undefined) throw new Error("a run folder has no report before it has settings");
    if (this.ranks.rank > 0) return;
    const title = runTitle(baseName(this.path), settings);
    const report = await renderReport({ title, settings, records: this.#records });
    await this.#write((path) => writeFileAtomic(joinPath(path, "report.html"), report));
  }
}

/**
 * Writes the settings of a run. @param folder where to; not yet `out` while a whole folder is written beside its place.
 */
export async function writeSettings(folder: string, settings: Settings, out: string): Promise<void> {
  await writeFileAtomic(joinPath(folder, RUN_SETTINGS), jsonText({ ...settings, out }));
}

async function makeEmpty(path: string): Promise<void> {
  await removeTree(path);
  await makeFolder(path);
}

/** True if the last line of a metrics.jsonl was cut short. */
export function isTorn(metrics: string): boolean {
  return metrics !== "" && !metrics.endsWith("\n");
}

/** The process that writes into a run's folder; null if none does. @throws ConfigError, DataError as `lockHolder`. */
export function runHolder(path: string): Promise<LockHolder | null> {
  return lockHolder(joinPath(path, LOCK_FILE));
}

/** True if a folder holds a run. */
export function isRunFolder(path: string): Promise<boolean> {
  return exists(joinPath(path, RUN_SETTINGS));
}

/**
 * The settings that a run was started with.
 * @param changes values from now on, by setting name, as text or typed.
 * @param facts what changes of the length in epochs need to know.
 * @throws ConfigError for invalid settings; CheckpointError for a file that is not JSON.
 */
export async function readRunSettings(
  path: string,
  changes: Readonly<Record<string, unknown>> = {},
  facts: DataFacts = {},
): Promise<Settings> {
  const file = await checkpointPath(path, RUN_SETTINGS);
  const values = withoutFollowers(await readJsonObject(file), Object.keys(changes));
  const resolved = { path: file, values, isResolved: true };
  return completeSettings(resolveSettings({ flags: changes, file: resolved, defaults: EARLIER_SETTINGS }), facts);
}

/**
 * The folder that the run will write; nothing is written yet. Without `out` it is the next number under runs/.
 * @throws ConfigError if the folder holds files that the run must not replace, and as `requireApart`; CheckpointError
 * if no folder can be made there.
 */
export function chooseRunFolder(settings: OpenSettings, ranks: Collective = ALONE): Promise<string> {
  return onFirst(ranks, () => choose(settings));
}

async function choose(settings: OpenSettings): Promise<string> {
  const { model, method } = settings;
  const out =
    settings.out ??
    (await nextUnder("runs", `${baseName(absolutePath(parseHubName(model)?.name ?? model))}-${method}`));
  const { data, validData } = settings;
  await requireApart(out, inputsOf(settings), { isRun: true, exceptRuns: inputsOf({ data, validData }) });
  await requireReplaceable(out, settings);
  if (!settings.dryRun) await requireRoom(out);
  return out;
}

async function requireReplaceable(out: string, { overwrite }: Pick<Settings, "overwrite">): Promise<void> {
  if (!(await exists(out))) return;
  if (!(await isDirectory(out))) throw new ConfigError(`${optionName("out")}: ${out} is a file; name a folder`);
  const names = await listFolder(out);
  const own = await ownEntries(out);
  // Nothing, or a process was killed before it wrote the settings.
  if (names.every((name) => LOCK_FILES.test(name) || LEFTOVER.test(name))) return;
  if (!(await isRunFolder(out))) throw holdsOther(out);
  if (!overwrite) throw holdsRun(out);
  if (!(await hasRunSettings(out))) throw holdsOther(out);
  const others = [...names.filter((name) => !own.includes(name)), ...(await othersIn(out, own))];
  if (others.length > 0) {
    throw new ConfigError(
      `${optionName("out")}: ${out} holds ${others.join(", ")} beside a run, which ${optionName("overwrite")} ` +
        `does not replace; move it or name another`,
    );
  }
}

/**
 * True if the settings are those of a run, of any version and with any registered kind of adapter. A file of that name
 * may be of another program.
 */
async function hasRunSettings(path: string): Promise<boolean> {
  try {
    const { model, method, out, maxSteps } = await readJsonObject(await checkpointPath(path, RUN_SETTINGS));
    return [model, method, out].every((each) => typeof each === "string") && typeof maxSteps === "number";
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

function holdsOther(out: string): ConfigError {
  return new ConfigError(
    `${optionName("out")}: ${out} is not empty and holds no run of highrank, so nothing in it is replaced; name ` +
      "another folder",
  );
}

function holdsRun(out: string): ConfigError {
  return new ConfigError(
    `${optionName("out")}: ${out} holds a run already; name another folder, or replace it with ` +
      `${optionName("overwrite", true)}`,
  );
}

async function nextUnder(parent: string, suffix: string): Promise<string> {
  const names = (await isDirectory(parent)) ? await listFolder(parent) : [];
  const last = largest(
    names.map((name) => Number(/^\d+/.exec(name)?.[0] ?? 0)),
    0,
  );
  return joinPath(parent, `${String(last + 1).padStart(3, "0")}-${suffix}`);
}

async function ownEntries(path: string): Promise<string[]> {
  if (!(await isDirectory(path))) return [];
  const own: string[] = [];
  for (const name of await listFolder(path)) {
    const patterns = (await isDirectory(joinPath(path, name))) ? [OWN_FOLDERS] : [OWN_FILES, LOCK_FILES];
    if ([...patterns, LEFTOVER].some((each) => each.test(name))) own.push(name);
  }
  return own;
}

/** Files in these folders of a run that it did not write, by their paths in the run. */
async function othersIn(path: string, names: readonly string[]): Promise<string[]> {
  const others: string[] = [];
  for (const name of names) {
    const folder = joinPath(path, name);
    if (!OWN_FOLDERS.test(name) || !(await isDirectory(folder))) continue;
    const files = await (name === "deltas"
      ? filesBesideDeltas(path)
      : name === TENSORBOARD_FOLDER
        ? filesBesideEvents(folder)
        : unlistedFiles(folder));
    for (const file of files) if (!LEFTOVER.test(file.split("/")[0]!)) others.push(`${name}/${file}`);
  }
  return others;
}

async function environment(threads: number): Promise<Record<string, unknown>> {
  return { ...(await runtimeVersions()), threads, started: new Date().toISOString() };
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
