import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { readModelFolder } from "../formats/model-folder.js";
import { resume } from "../training/resume.js";
import { train } from "../training/train.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { exportTarget } from "../verbs/export.js";
import { mergeTarget } from "../verbs/merge.js";
import { bestOf, endingOf } from "./early-stop.js";
import type { MetricsRecord } from "./metrics.js";
import { Progress } from "./progress.js";
import { readRunSettings } from "./run-folder.js";

let folder = "";
const at = (...names: string[]): string => path.join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-early-stop-"));
  await writeFile(at("text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));

/** No evaluation improves by so much on the first that counts: the run ends at the second after it. */
const EARLY: Partial<Settings> = { evalEvery: 2, patience: 2, minImprovement: 5 };

function settingsOf(name: string, change: Partial<Settings>): Settings {
  const flags = { ...SMALL_RUN, threads: 1, sampleTokens: 0, data: at("text.txt"), out: at(name), ...change };
  return completeSettings(resolveSettings({ flags }));
}

/** Trains, or trains until that step as an interrupt ends it. */
async function trained(name: string, change: Partial<Settings>, untilStep?: number) {
  const records: MetricsRecord[] = [];
  const notices: string[] = [];
  const result = await train(settingsOf(name, change), {
    onRecord: (record) => void records.push(record),
    onNotice: (text) => void notices.push(text),
    ...(untilStep !== undefined && { untilStep }),
  });
  return { result, records, notices, out: at(name) };
}

const evals = (records: readonly MetricsRecord[]) => records.filter((record) => record.kind === "eval");

const lossOf = async (target: string, checkpoint: "last" | "best" | null = null): Promise<number> => {
  const data = { data: at("text.txt"), batchSize: 4, sequenceLength: 32, maxTokens: null };
  const machine = { device: "cpu", threads: 1 } as const;
  return (await evaluateTarget(target, { ...data, ...machine, base: null, adapter: true, checkpoint })).loss;
};

const unsound = async (run: string) => (await checkRun(run)).findings.filter(({ state }) => state !== "ok");

/** What is trained, the step that patience ends it after, and whether adapters are in the middle of a cycle then. */
const CASES: readonly (readonly [name: string, change: Partial<Settings>, step: number])[] = [
  ["full", { method: "full" }, 4],
  ["lora", { method: "lora", warmStartSteps: 0 }, 4],
  ["dora", { method: "lora", warmStartSteps: 0, adapterKind: "dora" }, 4],
  ["relora", {}, 8],
  ["relora, at a merge", { evalEvery: 3, patience: 1 }, 9],
  ["relora, at a merge of a share", { evalEvery: 3, patience: 1, restartShare: 0.5 }, 9],
  ["relora of cores, at a merge", { evalEvery: 3, patience: 1, adapterKind: "core", rank: 8 }, 9],
  ["relora of cores", { adapterKind: "core", rank: 8 }, 8],
  ["nf4, residual", { quantize: "nf4", mergePolicy: "residual" }, 8],
  ["int8, requantize, the best", { quantize: "int8", mergePolicy: "requantize", loadBest: true }, 8],
];

describe.each(CASES)("%s", (name, change, step) => {
  const early = { ...EARLY, ...change };

  test(`ends after step ${step}, whole`, async () => {
    const { result, records, notices, out } = await trained(name, early);
    expect(result).toMatchObject({ outcome: "early", step, modelStep: step, modelFolder: at(name, "model") });
    expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "early", step, modelStep: step });
    expect(evals(records).at(-1)!.step).toBe(step);
    const aboutAdapter = early.mergePolicy === "requantize" ? [expect.stringContaining("which is model/.")] : [];
    expect(notices).toEqual([...aboutAdapter, expect.stringMatching(`the run ends after step ${step} of 11\\.$`)]);
    expect(await unsound(out)).toEqual([]);
    expect((await checkRun(out)).findings.at(-1)!.what).toMatch(`ended early, after ${step} of 11 steps`);
    expect(await readFile(at(name, "report.html"), "utf8")).toContain("ended early");
    // Nothing of what the last checkpoint computes with is lost, but for the rounding of frozen weights.
    if (early.quantize === undefined)
      expect(Math.abs((await lossOf(out, "last")) - (await lossOf(at(name, "model"))))).toBeLessThan(1e-5);
    // There are none, or they are of no use without the rounding that this policy leaves in the weights.
    if (early.method === "full" || early.mergePolicy === "requantize") return;
    // The finished model and the adapter on its base say the same, whatever part of it is merged.
    expect(Math.abs((await lossOf(at(name, "adapter"))) - (await lossOf(at(name, "model"))))).toBeLessThan(1e-5);
    expect(await lossOf(at(name, "model"))).toBeLessThan((await lossOf(at(name, "base"))) - 0.01);
  });

  test("interrupted before, it ends as it would have, to the last bit; killed at the end, too", async () => {
    const expected = await runContents(at(name));
    const { out } = await trained(`${name}, interrupted`, early, step - 1);
    expect(await resume(out)).toMatchObject({ outcome: "early", step });
    expect(await runContents(out)).toEqual(expected);
    // A process that was killed after its last checkpoint.
    for (const published of ["model", "adapter"]) await rm(path.join(out, published), { recursive: true, force: true });
    const lines = (await readFile(path.join(out, "metrics.jsonl"), "utf8")).trimEnd().split("\n");
    await writeFile(path.join(out, "metrics.jsonl"), `${lines.slice(0, -1).join("\n")}\n`);
    expect((await checkRun(out)).state).toBe("repairable");
    expect(await resume(out)).toMatchObject({ outcome: "early", step });
    expect(await runContents(out)).toEqual(expected);
  });

  test("with more patience it goes on as if it had always had that", async () => {
    const whole = await trained(`${name}, patient`, { ...early, patience: null });
    expect(whole.result).toMatchObject({ outcome: "done", step: 11 });
    const notices: string[] = [];
    const again = await resume(at(name), {}, { onNotice: (text) => void notices.push(text) });
    expect(again).toMatchObject({ outcome: "early", step, modelStep: step });
    expect(notices).toEqual([expect.stringContaining("a larger patience lets it go on")]);
    expect(await resume(at(name), { changes: { patience: "none" } })).toMatchObject({ outcome: "done", step: 11 });
    expect(await runContents(at(name))).toEqual(await runContents(whole.out));
  });
});

/** Steps that are too long: what the first one gains, those after it lose. */
const WORSE: Partial<Settings> = {
  ...{ method: "lora", warmStartSteps: 0, maxSteps: 8, lr: 0.1, adapterLr: 0.1, schedule: "constant", warmupSteps: 0 },
  ...{ evalEvery: 1, saveEvery: null, divergenceFactor: null, clipGradNorm: null },
};

describe("the best checkpoint", () => {
  test("is what the finished model and the adapter are of, where the run is told so", async () => {
    const { result, records, out } = await trained("best", { ...WORSE, loadBest: true, patience: 3 });
    const best = evals(records)
      .slice(1)
      .reduce((lowest, record) => (record.loss < lowest.loss ? record : lowest));
    expect(best.step).toBeLessThan(result.step);
    expect(result).toMatchObject({ outcome: "early", step: best.step + 3, modelStep: best.step });
    expect(await readFile(at("best", "best"), "utf8")).toBe(`checkpoint-00000${best.step}\n`);
    expect(await unsound(out)).toEqual([]);
    const last = evals(records).at(-1)!.loss;
    const losses = [await lossOf(at("best", "model")), await lossOf(at("best", "adapter")), await lossOf(out)];
    for (const loss of losses) expect(loss).toBeCloseTo(losses[0]!, 5);
    expect(losses[0]).toBeLessThan(last - 0.1);

    const options = { base: null, dtype: null };
    await exportTarget(out, { ...options, to: "peft", out: at("best-peft") });
    expect(await lossOf(at("best-peft"))).toBeCloseTo(losses[0]!, 5);
    await mergeTarget(out, { ...options, verify: false, checkpoint: "last", out: at("best-last") });
    expect(await lossOf(at("best-last"))).toBeCloseTo(await lossOf(out, "last"), 5);
    expect(await lossOf(out, "last")).toBeGreaterThan(losses[0]! + 0.1);
    await expect(lossOf(at("best", "adapter"), "best")).rejects.toThrow("checkpoint is for runs");
  });

  test("can be asked for when the run is done, and the last one again", async () => {
    const { result, out } = await trained("later", { ...WORSE, keepCheckpoints: null, saveEvery: 1 });
    expect(result).toMatchObject({ outcome: "done", step: 8, modelStep: 8 });
    const before = await runContents(out);
    const best = await resume(out, { changes: { loadBest: true } });
    expect(best).toMatchObject({ outcome: "done", step: 8, modelStep: 1 });
    expect(await unsound(out)).toEqual([]);
    const weights = (model: { tensors: ReadonlyMap<string, unknown> }) => [...model.tensors.values()];
    const merged = await mergeTarget(out, { base: null, dtype: null, verify: false, out: at("later-best") });
    expect(weights(await readModelFolder(merged.modelFolder))).toEqual(
      weights(await readModelFolder(path.join(out, "model"))),
    );
    expect(await resume(out, { changes: { loadBest: false } })).toMatchObject({ modelStep: 8 });
    expect(await runContents(out)).toEqual(before);
  });

  test("may be the last: asking for it then is no change, and is kept for when the run goes on", async () => {
    const { out } = await trained("last is best", { method: "lora", warmStartSteps: 0, schedule: "constant" });
    expect(await readFile(path.join(out, "best"), "utf8")).toBe("checkpoint-000011\n");
    const model = await readModelFolder(path.join(out, "model"));
    expect(await resume(out, { changes: { loadBest: true } })).toMatchObject({ outcome: "done", modelStep: 11 });
    expect(await readModelFolder(path.join(out, "model"))).toEqual(model);
    expect((await readRunSettings(out)).loadBest).toBe(true);
    expect(await unsound(out)).toEqual([]);
  });

  test("that gave way to a later one is not waited for by a run that goes back behind that", async () => {
    const { out } = await trained("back", { ...SMALL_RUN, evalEvery: 2, saveEvery: 2, keepCheckpoints: null });
    expect(await readFile(path.join(out, "best"), "utf8")).toBe("checkpoint-000011\n");
    await cp(out, at("back-without"), { recursive: true });
    const run = at("back-without");
    for (const name of await readdir(run)) {
      if (/^checkpoint-/.test(name) && name !== "checkpoint-000006")
        await rm(path.join(run, name), { recursive: true });
    }
    await resume(run, { checkpoint: 6 }, { untilStep: 7 });
    expect(await readFile(path.join(run, "best"), "utf8")).toBe("checkpoint-000006\n");
    expect(await unsound(run)).toEqual([]);
  });

  test("is that of the step gone on from, where the one known is gone", () => {
    const [best, evaluated] = [
      { loss: 1, step: 2 },
      { loss: 2, step: 4 },
    ];
    expect(bestOf(4, { best, evaluated }, [2, 4])).toBe(best);
    expect(bestOf(4, { best, evaluated }, [4])).toBe(evaluated);
    expect(bestOf(5, { best, evaluated }, [5])).toBeNull();
    expect(bestOf(5, { best: null, evaluated: null }, [5])).toBeNull();
  });
});

describe("patience", () => {
  const settings = { divergenceFactor: null, minImprovement: 0.1 };
  const waited = (losses: readonly number[], counts = true): number[] => {
    const progress = Progress.fresh(undefined);
    return losses.map((loss) => {
      progress.step++;
      progress.evaluate(loss, 0, settings, counts);
      return progress.waited;
    });
  };

  test("runs out by evaluations in a row that fall by less than the least improvement", () => {
    expect(waited([3, 2.95, 2.91, 2.89, 2.85, 2.78, 2.9])).toEqual([0, 1, 2, 0, 1, 0, 1]);
    expect(waited([3, Number.NaN, Number.POSITIVE_INFINITY, 2])).toEqual([0, 1, 2, 0]);
  });

  test("does not run in a warm start", () => {
    expect(waited([3, 4, 5], false)).toEqual([0, 0, 0]);
  });

  test("ends the run when it has run out, unless its last step came first", () => {
    const limits = { maxSteps: 10, patience: 2 };
    expect(endingOf(4, { waited: 1 }, limits)).toBeNull();
    expect(endingOf(4, { waited: 2 }, limits)).toBe("early");
    expect(endingOf(10, { waited: 2 }, limits)).toBe("done");
    expect(endingOf(4, { waited: 9 }, { ...limits, patience: null })).toBeNull();
  });

  test("needs evaluations", () => {
    expect(() => settingsOf("none", { patience: 2, evalEvery: null })).toThrow(
      "patience: counts evaluations, and evalEvery: null makes none before the last step",
    );
  });
});
