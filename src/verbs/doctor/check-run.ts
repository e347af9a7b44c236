import { exists, interruptedWrites, isDirectory, joinPath, listFolder, readText } from "#platform";
import { requireArguments, TEXT } from "../../base/arguments.js";
import { CheckpointError, HighrankError } from "../../base/errors.js";
import { append } from "../../base/lists.js";
import type { Settings } from "../../config/settings.js";
import { checksumFaults, damageOf, readChecksums } from "../../files/checksums.js";
import { readJsonObject } from "../../files/json-file.js";
import { hashModelFolder } from "../../formats/base-hash.js";
import { folderSource } from "../../loading/folder-source.js";
import type { ModelSource } from "../../loading/model-source.js";
import { frozenQuantizer } from "../../loading/quantizing.js";
import { planStep } from "../../relora/plan.js";
import { planConflict } from "../../relora/plan-change.js";
import { checkpointName, pointedStep, stepsNamed } from "../../runs/checkpoint.js";
import { bestOf, endingOf, publishedStep } from "../../runs/early-stop.js";
import { type MetricsRecord, parseMetrics } from "../../runs/metrics.js";
import { isTorn, readRunSettings, runHolder } from "../../runs/run-folder.js";
import type { LossAtStep, RunState } from "../../runs/run-state.js";
import { prepareRun } from "../../training/prepare.js";
import { runShapes } from "../../training/run-shape.js";
import { TOKENS_FOLDER } from "../../training/token-cache.js";
import { adapterDifference } from "./check-adapter.js";
import { type CheckedCheckpoint, checkCheckpoint, collect, type Expected } from "./check-checkpoint.js";
import { type CheckedCycle, checkDeltas } from "./check-deltas.js";
import { metricsFaults } from "./check-metrics.js";

/** A finding about one part of a run folder. */
export interface Finding {
  /** A file or folder of the run, or `settings`, `leftovers`, `data`, `metrics`, `steps`. */
  readonly area: string;
  /**
   * `repairable`: resume repairs it; `damaged`: it cannot; `unchecked`: something that the check needs is missing.
   */
  readonly state: "ok" | "unchecked" | "repairable" | "damaged";
  /** The state of the part, or its fault. */
  readonly what: string;
  /** The way out; null where nothing is to be done. */
  readonly wayOut: string | null;
}

/** All findings about a run folder. */
export interface RunCheck {
  readonly runFolder: string;
  /** The worst that was found. */
  readonly state: "ok" | "repairable" | "damaged";
  /** True while a process is at work in the folder, as far as can be known: nothing is called damaged then. */
  readonly isRunning: boolean;
  /** Step of the newest checkpoint that can be resumed, `last` before others; null where there is none. */
  readonly step: number | null;
  /** Null where the settings cannot be read. */
  readonly maxSteps: number | null;
  readonly findings: readonly Finding[];
}

const FROM_A_COPY = "bring it back from a copy of the run folder";

/**
 * Checks a run folder without writing. @throws CheckpointError for a folder that holds no run; DataError if there is no
 * folder.
 */
export async function checkRun(runFolder: string): Promise<RunCheck> {
  requireArguments("checkRun", { runFolder: TEXT }, { runFolder });
  const checkup = await Checkup.of(runFolder);
  return checkup.run();
}

/** A checkpoint with what it builds on. */
interface KnownCheckpoint extends CheckedCheckpoint {
  readonly step: number;
  readonly folder: string;
  /** Parts of the rest of the folder that it would need and that are missing. */
  readonly lacks: readonly string[];
}

/** RUN/base. */
interface CheckedBase {
  readonly folder: string;
  /** Null where the weights cannot be read. */
  readonly sha256: string | null;
  readonly source: ModelSource | null;
}

class Checkup {
  readonly #run: string;
  readonly #names: readonly string[];
  /** Folders that stepped aside and lack their name. */
  readonly #aside: ReadonlyMap<string, string>;
  readonly #resume: string;
  readonly #findings: Finding[] = [];

  private constructor(run: string, names: readonly string[], aside: ReadonlyMap<string, string>) {
    this.#run = run;
    this.#names = [...names, ...aside.keys()];
    this.#aside = aside;
    this.#resume = `highrank resume ${run}`;
  }

  static async of(run: string): Promise<Checkup> {
    const names = await listFolder(run);
    const { aside } = await interruptedWrites(run);
    const checkup = new Checkup(run, names, aside);
    const isRun = checkup.#names.some((name) => /^(config\.resolved\.json|metrics\.jsonl|checkpoint-\d+)$/.test(name));
    if (isRun) return checkup;
    throw new CheckpointError(`${run} holds no run: config.resolved.json is missing; name the folder that train wrote`);
  }

  async run(): Promise<RunCheck> {
    const settings = await this.#checkSettings();
    const isRunning = await this.#checkLock();
    await this.#checkLeftovers();
    const base = await this.#checkBase();
    const expected = this.#expect(settings, base);
    const cycles = await checkDeltas(this.#run, expected);
    const checkpoints = await this.#readCheckpoints(expected, base, cycles);
    const target = await this.#target(checkpoints);
    const from = isUsable(target) ? target : checkpoints.findLast(isUsable);
    const wayBack =
      from === undefined
        ? `${FROM_A_COPY}; no checkpoint here can be resumed`
        : `${this.#resume} --checkpoint ${from.step}`;
    this.#reportDeltas(cycles, target?.state == null ? from : target, from, wayBack);
    this.#reportCheckpoints(checkpoints, target, wayBack);
    await this.#checkLast(checkpoints, wayBack);
    await this.#checkBest(checkpoints, from);
    await this.#checkData(settings, base, checkpoints, from);
    await this.#checkTokens();
    const records = await this.#checkMetrics(checkpoints, from);
    if (from !== undefined && settings !== null) await this.#checkPublished(from, checkpoints, expected, settings);
    // A run without one starts over, and writes it anew.
    if (checkpoints.length > 0) await this.#checkEnvironment();
    await this.#checkReport(records);
    this.#reportSteps(settings, from, checkpoints.length, { records, goOn: from === target ? this.#resume : wayBack });
    const findings = isRunning ? this.#findings.map(asWorkInProgress) : this.#findings;
    const has = (state: Finding["state"]): boolean => findings.some((finding) => finding.state === state);
    return {
      runFolder: this.#run,
      state: has("damaged") ? "damaged" : has("repairable") ? "repairable" : "ok",
      isRunning,
      step: from?.step ?? null,
      maxSteps: settings?.maxSteps ?? null,
      findings,
    };
  }

  #add(area: string, state: Finding["state"], what: string, wayOut: string | null = null): void {
    this.#findings.push({ area, state, what, wayOut });
  }

  /** Where the file or folder of that name lies now. */
  #at(name: string): string {
    return joinPath(this.#run, this.#aside.get(name) ?? name);
  }

  async #checkSettings(): Promise<Settings | null> {
    try {
      const settings = await readRunSettings(this.#run);
      const { method, model, maxSteps } = settings;
      this.#add("settings", "ok", `${method} of ${model}, ${maxSteps} steps`);
      return settings;
    } catch (error) {
      if (!(error instanceof HighrankError)) throw error;
      this.#add("settings", "damaged", error.message, FROM_A_COPY);
      return null;
    }
  }

  /** True if a process is at work in the folder, as far as can be known. */
  async #checkLock(): Promise<boolean> {
    const holder = await runHolder(this.#run);
    if (holder === null) {
      this.#add("lock", "ok", "free");
      return false;
    }
    const { isAlive, words, wayOut } = holder;
    if (isAlive === false) {
      this.#add("lock", "repairable", `left by ${words}, which is gone`, "resume takes it over");
    } else if (isAlive) {
      this.#add("lock", "ok", `${words}: what it is writing may look unfinished; check again when it has ended`);
    } else this.#add("lock", "unchecked", words, wayOut);
    return isAlive !== false;
  }

  async #checkLeftovers(): Promise<void> {
    for (const [name, entry] of this.#aside) {
      this.#add(name, "repairable", `is missing, but whole as ${entry}`, "resume renames it back");
    }
    const found: string[] = [];
    for (const below of ["", "deltas"]) {
      const { leftovers } = await interruptedWrites(joinPath(this.#run, below));
      append(
        found,
        leftovers.map((name) => (below === "" ? name : `${below}/${name}`)),
      );
    }
    if (found.length === 0) return;
    this.#add("leftovers", "repairable", `from interrupted writes: ${found.join(", ")}`, "resume removes them");
  }

  async #checkBase(): Promise<CheckedBase> {
    const folder = this.#at("base");
    const checkpoints = stepsNamed(this.#names).length;
    if (checkpoints === 0 && !(await exists(folder))) return { folder, sha256: null, source: null };
    let source: ModelSource | null = null;
    let sha256: string | null = null;
    const damage = await damageOf(folder);
    const faults = [...(damage ?? [])];
    if (faults.length === 0) {
      await collect(faults, async () => {
        source = await folderSource(folder);
        sha256 = await hashModelFolder(folder, await readChecksums(folder));
      });
    }
    if (faults.length > 0) this.#add("base", "damaged", faults.join("; "), FROM_A_COPY);
    else if (damage === null) this.#add("base", "unchecked", "has no checksums.json; earlier versions wrote none");
    else this.#add("base", "ok", `weights with SHA-256 ${shortHash(sha256!)}`);
    return { folder, sha256, source };
  }

  /** The shape that the run must have by its settings and its base. */
  #expect(settings: Settings | null, { source }: CheckedBase): Expected | null {
    if (settings === null || source === null) return null;
    try {
      const quantizer = frozenQuantizer(source.build(), { ...settings, warmStartSteps: 0 });
      const models = runShapes(source.build, settings, quantizer).map(({ model }) => model);
      const adapted = settings.method === "full" ? null : models.at(-1)!;
      return { settings, full: models[0] === adapted ? null : models[0]!, adapted };
    } catch (error) {
      if (!(error instanceof HighrankError)) throw error;
      this.#add("settings", "damaged", `do not fit the base: ${error.message}`, FROM_A_COPY);
      return null;
    }
  }

  async #readCheckpoints(
    expected: Expected | null,
    base: CheckedBase,
    cycles: readonly CheckedCycle[],
  ): Promise<KnownCheckpoint[]> {
    const known: KnownCheckpoint[] = [];
    for (const step of stepsNamed(this.#names)) {
      const folder = this.#at(checkpointName(step));
      const checked = await checkCheckpoint(folder, step, expected);
      known.push({
        ...checked,
        step,
        folder,
        lacks: checked.state === null ? [] : lacking(checked.state, base, cycles),
      });
    }
    return known;
  }

  /** The checkpoint that `last` names; undefined where it names none that is there. */
  async #target(checkpoints: readonly KnownCheckpoint[]): Promise<KnownCheckpoint | undefined> {
    if (!(await exists(joinPath(this.#run, "last")))) return checkpoints.at(-1);
    try {
      const named = await pointedStep(this.#run, "last");
      return checkpoints.find(({ step }) => step === named);
    } catch (error) {
      if (error instanceof HighrankError) return undefined;
      throw error;
    }
  }

  #reportDeltas(
    cycles: readonly CheckedCycle[],
    target: KnownCheckpoint | undefined,
    from: KnownCheckpoint | undefined,
    wayBack: string,
  ): void {
    const needed = target?.state?.deltas ?? [];
    let sound = 0;
    for (const [index, sha256] of needed.entries()) {
      const fault = cycleFault(cycles[index], index + 1, sha256);
      if (fault === null) sound++;
      else
        this.#add("deltas", "damaged", fault, from === undefined ? wayBack : `${FROM_A_COPY}, or go back: ${wayBack}`);
    }
    if (sound === needed.length && sound > 0) this.#add("deltas", "ok", `${sound} merged ${plural(sound, "cycle")}`);
    const later = cycles.slice(needed.length).filter(({ sha256 }) => sha256 !== null);
    if (later.length === 0 || target?.state == null) return;
    const words = `cycles ${later.map(({ cycle }) => cycle).join(", ")} came after ${checkpointName(target.step)}`;
    this.#add("deltas", "repairable", words, "resume removes them and merges again");
  }

  #reportCheckpoints(
    checkpoints: readonly KnownCheckpoint[],
    target: KnownCheckpoint | undefined,
    wayBack: string,
  ): void {
    for (const checkpoint of checkpoints) {
      const { step, folder, faults, lacks } = checkpoint;
      const name = checkpointName(step);
      const what = [...faults, ...lacks].join("; ");
      const isLater = target !== undefined && step > target.step;
      if (isLater) {
        const words = isUsable(checkpoint) ? "whole, but after the one that last names" : what;
        this.#add(name, "repairable", words, `resume continues from ${checkpointName(target.step)} and removes it`);
      } else if (isUsable(checkpoint)) this.#add(name, "ok", "whole");
      else if (checkpoint === target) this.#add(name, "damaged", what, wayBack);
      else this.#add(name, "damaged", what, `resume does not need it; remove ${folder}, or ${FROM_A_COPY}`);
    }
  }

  async #checkLast(checkpoints: readonly KnownCheckpoint[], wayBack: string): Promise<void> {
    if (checkpoints.length === 0) return;
    if (!(await exists(joinPath(this.#run, "last")))) {
      this.#add("last", "repairable", "is missing", "resume continues from the newest checkpoint");
      return;
    }
    const faults: string[] = [];
    await collect(faults, async () => {
      const step = await pointedStep(this.#run, "last");
      if (checkpoints.some((checkpoint) => checkpoint.step === step)) this.#add("last", "ok", checkpointName(step));
      else faults.push(`names ${checkpointName(step)}, which is not there`);
    });
    for (const fault of faults) this.#add("last", "damaged", fault, wayBack);
  }

  async #checkBest(checkpoints: readonly KnownCheckpoint[], from: KnownCheckpoint | undefined): Promise<void> {
    if (from === undefined) return;
    const wanted = bestAmong(checkpoints, from)?.step ?? null;
    let named: number | null = null;
    const faults: string[] = [];
    await collect(faults, async () => {
      if (await exists(joinPath(this.#run, "best"))) named = await pointedStep(this.#run, "best");
    });
    if (faults.length === 0 && named === wanted) {
      if (named !== null) this.#add("best", "ok", checkpointName(named));
      return;
    }
    const is = faults[0] ?? (named === null ? "is missing" : `names ${checkpointName(named)}`);
    const rule = wanted === null ? "no checkpoint is known as the best" : `the best is ${checkpointName(wanted)}`;
    this.#add("best", "repairable", `${is}, but ${rule}`, "resume writes it again");
  }

  /** The tokens that a run keeps of large data, which `#checkData` does not rely on. */
  async #checkTokens(): Promise<void> {
    if (!this.#names.includes(TOKENS_FOLDER)) return;
    const faults: string[] = [];
    await collect(faults, async () => append(faults, await checksumFaults(this.#at(TOKENS_FOLDER))));
    if (faults.length === 0) this.#add(TOKENS_FOLDER, "ok", "whole");
    else this.#add(TOKENS_FOLDER, "repairable", faults.join("; "), "resume makes them anew of the data");
  }

  async #checkData(
    settings: Settings | null,
    { source, folder }: CheckedBase,
    checkpoints: readonly KnownCheckpoint[],
    from: KnownCheckpoint | undefined,
  ): Promise<void> {
    if (settings === null || source === null || from === undefined) return;
    const isDone = endingOf(from.step, from.state!, settings) !== null;
    const elsewhere = "restore the data, or say where they are: resume --data";
    try {
      const { dataSha256, cursor } = await prepareRun(settings, { source, baseFolder: folder, state: from.state! });
      if (dataSha256 !== from.state!.dataSha256) {
        const what = `${settings.data}: its tokens are not those that the run was trained on`;
        if (isDone) this.#add("data", "unchecked", `${what}; the run no longer needs them`);
        else this.#add("data", "damaged", what, elsewhere);
        return;
      }
      for (const { step, state } of checkpoints) {
        if (state === null) continue;
        const rows = step * settings.totalBatchSize;
        const { epoch, row } = state.dataPosition;
        if (row < cursor.rowsPerEpoch && epoch * cursor.rowsPerEpoch + row === rows) continue;
        const place = `${checkpointName(step)} is at row ${row} of epoch ${epoch}`;
        const what = `${place}, but ${rows} rows were trained on, with ${cursor.rowsPerEpoch} per epoch`;
        this.#add("data", "damaged", what, FROM_A_COPY);
        return;
      }
      this.#add("data", "ok", `${settings.data}, tokens with SHA-256 ${shortHash(dataSha256)}`);
    } catch (error) {
      if (!(error instanceof HighrankError)) throw error;
      this.#add("data", "unchecked", `not checked: ${error.message}`, isDone ? null : elsewhere);
    }
  }

  async #checkMetrics(
    checkpoints: readonly KnownCheckpoint[],
    from: KnownCheckpoint | undefined,
  ): Promise<readonly MetricsRecord[]> {
    const file = joinPath(this.#run, "metrics.jsonl");
    const wayOut = `${FROM_A_COPY}; no weight depends on it, so resume also works without`;
    if (!(await exists(file))) {
      // It begins after the settings.
      if (checkpoints.length === 0) this.#add("metrics", "ok", "none yet");
      else this.#add("metrics", "damaged", "metrics.jsonl is missing", wayOut);
      return [];
    }
    let records: MetricsRecord[] = [];
    const faults: string[] = [];
    await collect(faults, async () => {
      const text = await readText(file);
      if (isTorn(text)) this.#add("metrics", "repairable", "the last line was cut short", "resume removes it");
      records = parseMetrics(text, "metrics.jsonl");
    });
    if (faults.length > 0) {
      const way = "bring it back from a copy of the run folder, or delete these lines; no weight depends on it";
      this.#add("metrics", "damaged", faults[0]!, way);
      return [];
    }
    const marks = checkpoints.flatMap(({ step, state }) =>
      state === null || step > (from?.step ?? 0) ? [] : [{ step, records: state.records }],
    );
    const found = metricsFaults(records, marks);
    if (found.length > 0) this.#add("metrics", "damaged", found.join("; "), wayOut);
    if (from !== undefined) {
      const later = records.filter(({ kind, step }) => (kind === "step" || kind === "skip") && step > from.step).length;
      const what = `${later} ${plural(later, "step")} after ${checkpointName(from.step)}`;
      if (later > 0) this.#add("metrics", "repairable", what, `resume repeats ${later === 1 ? "it" : "them"}`);
    }
    if (this.#findings.every(({ area }) => area !== "metrics")) this.#add("metrics", "ok", `${records.length} records`);
    return records;
  }

  /** The machine that the run was started on, which reports name. */
  async #checkEnvironment(): Promise<void> {
    const file = joinPath(this.#run, "env.json");
    const faults: string[] = [];
    await collect(faults, async () => {
      if (await exists(file)) await readJsonObject(file);
      else faults.push("is missing");
    });
    for (const fault of faults)
      this.#add("env.json", "damaged", fault, `${FROM_A_COPY}; no weight depends on it, so resume also works without`);
  }

  async #checkReport(records: readonly MetricsRecord[]): Promise<void> {
    // It is first written at the end of a run, or of a part of it.
    if (records.at(-1)?.kind !== "end" || (await exists(joinPath(this.#run, "report.html")))) return;
    this.#add("report.html", "repairable", "is missing", "resume writes it again");
  }

  /** Checks RUN/model and RUN/adapter, which resume can write again from a checkpoint. */
  async #checkPublished(
    from: KnownCheckpoint,
    checkpoints: readonly KnownCheckpoint[],
    expected: Expected | null,
    settings: Settings,
  ): Promise<void> {
    const isDone = endingOf(from.step, from.state!, settings) !== null;
    const published = isDone ? publishedStep(from.step, { best: bestAmong(checkpoints, from) }, settings) : from.step;
    const source = checkpoints.find(({ step }) => step === published)!;
    const wanted = { adapter: planStep(published, settings).phase === "adapter", model: isDone };
    for (const [name, isWanted] of Object.entries(wanted)) {
      const folder = this.#at(name);
      if (!(await isDirectory(folder))) {
        if (isWanted) this.#add(name, "repairable", "is missing", "resume writes it again");
        continue;
      }
      if (!isWanted) {
        const what = isDone
          ? `is there, but ${checkpointName(published)}, the best, has none`
          : `is from a later step than ${checkpointName(from.step)}`;
        this.#add(name, "repairable", what, "resume removes it");
        continue;
      }
      const damage = await damageOf(folder);
      const faults = [...(damage ?? [])];
      let difference: string | null = null;
      if (faults.length === 0 && name === "adapter" && expected !== null && source.state !== null) {
        const parts = { runFolder: this.#run, folder, checkpointFolder: source.folder, expected };
        const state = source.state;
        await collect(faults, async () => {
          difference = await adapterDifference({ ...parts, step: published, state });
        });
      }
      if (faults.length > 0) this.#add(name, "repairable", faults.join("; "), "resume writes it again");
      else if (difference !== null) {
        const what = `${difference} than ${checkpointName(published)}`;
        // Resume looks no further if everything is done and whole.
        if (isDone) this.#add(name, "damaged", what, `remove ${folder}; ${this.#resume} then writes it again`);
        else this.#add(name, "repairable", what, "resume writes it again");
      } else if (damage === null) this.#add(name, "unchecked", "has no checksums.json; earlier versions wrote none");
      else this.#add(name, "ok", name === "model" ? "whole" : `whole, of ${checkpointName(published)}`);
    }
  }

  #reportSteps(
    settings: Settings | null,
    from: KnownCheckpoint | undefined,
    checkpoints: number,
    { records, goOn }: { records: readonly MetricsRecord[]; goOn: string },
  ): void {
    if (settings === null) return;
    const { maxSteps } = settings;
    if (checkpoints === 0) {
      this.#add("steps", "ok", `no checkpoint of ${maxSteps} steps yet`, `${this.#resume} starts over`);
      return;
    }
    if (from === undefined) return;
    const { step, state } = from;
    const before = { ...settings, maxSteps: state!.maxSteps };
    const conflict = maxSteps < step ? `step ${step} is done already` : planConflict(before, settings, step);
    if (conflict !== null) {
      const what = `config.resolved.json says ${maxSteps} steps, the checkpoint ${state!.maxSteps}: ${conflict}`;
      this.#add("steps", "damaged", what, FROM_A_COPY);
      return;
    }
    const ending = endingOf(step, state!, settings);
    if (ending === null) {
      this.#add("steps", "ok", `${step} of ${maxSteps} done, ${maxSteps - step} left`, goOn);
      return;
    }
    const end = records.findLast(({ kind }) => kind === "end" || kind === "step" || kind === "skip");
    const what =
      ending === "done"
        ? `all ${maxSteps} steps are done`
        : `the run ended early, after ${step} of ${maxSteps} steps, because the held-out loss stopped falling`;
    if (end?.kind === "end" && end.outcome === ending) this.#add("steps", "ok", `finished: ${what}`);
    else this.#add("steps", "repairable", `${what}, but the end is not recorded`, "resume finishes the run");
  }
}

/** The checkpoint that `resume` takes as the best one when it continues from this one. */
function bestAmong(checkpoints: readonly KnownCheckpoint[], from: KnownCheckpoint): LossAtStep | null {
  const steps = checkpoints.map(({ step }) => step);
  return bestOf(from.step, from.state!, steps);
}

function isUsable(
  checkpoint: KnownCheckpoint | undefined,
): checkpoint is KnownCheckpoint & { readonly state: RunState } {
  return checkpoint !== undefined && checkpoint.faults.length === 0 && checkpoint.lacks.length === 0;
}

/** Parts that a checkpoint builds on and that are no longer as they were. */
function lacking(state: RunState, base: CheckedBase, cycles: readonly CheckedCycle[]): string[] {
  if (base.source === null) return ["builds on base, which is damaged"];
  // While every weight trains, the checkpoint holds all of them, and the base may already be that of the adapters.
  if (state.phase !== "warm-start" && base.sha256 !== state.base.sha256) {
    return [`builds on a base whose weights have SHA-256 ${shortHash(state.base.sha256)}`];
  }
  return state.deltas.flatMap((sha256, index) => {
    const fault = cycleFault(cycles[index], index + 1, sha256);
    return fault === null ? [] : [`builds on cycle ${index + 1}, which is damaged`];
  });
}

/** The fault of a cycle, for a checkpoint that was trained with a file of that SHA-256; null if there is none. */
function cycleFault(checked: CheckedCycle | undefined, cycle: number, sha256: string): string | null {
  if (checked === undefined) return `cycle ${cycle} is missing`;
  if (checked.faults.length > 0) return `cycle ${cycle}: ${checked.faults.join("; ")}`;
  return checked.sha256 === sha256 ? null : `cycle ${cycle} is not the file that the checkpoint was trained with`;
}

/** A finding in a run that is alive, whose files change while they are read. */
function asWorkInProgress(finding: Finding): Finding {
  if (finding.state === "repairable") return { ...finding, state: "ok", wayOut: null };
  if (finding.state !== "damaged") return finding;
  return { ...finding, state: "unchecked", wayOut: "the run is alive and may be writing it; check when it has ended" };
}

function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}

/** Enough of a SHA-256 to recognize it. */
function shortHash(sha256: string): string {
  return `${sha256.slice(0, 12)}…`;
}
