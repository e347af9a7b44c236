import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { residentMemoryBytes } from "#platform";
import { writeSmallModel } from "../../tests/small-model.js";
import { headerLines } from "../cli/live-lines.js";
import { styleFor } from "../cli/terminal.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import { presetSource } from "../loading/model-source.js";
import type { MetricsRecord, StartRecord } from "../runs/metrics.js";
import { readRunSettings } from "../runs/run-folder.js";
import { fitMemory } from "./memory-fit.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
const at = (...parts: string[]): string => path.join(folder, ...parts);
const pairs = (count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({ prompt: `mat ${from + i}:`, completion: " The cat sat." }),
  ).join("\n");
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-job-"));
  await writeSmallModel(at("base"), { numLayers: 1 });
  await writeFile(at("pairs.jsonl"), pairs(50));
  await writeFile(at("valid.jsonl"), pairs(5, 90));
});
afterAll(() => rm(folder, { recursive: true }));

interface Ran {
  readonly records: readonly MetricsRecord[];
  readonly notices: readonly string[];
  readonly start: StartRecord;
  readonly header: string;
}

async function run(out: string, change: Record<string, unknown> = {}, availableMemoryBytes?: number): Promise<Ran> {
  const records: MetricsRecord[] = [];
  const notices: string[] = [];
  const flags = { model: at("base"), data: at("pairs.jsonl"), sampleTokens: 0, threads: 1, out: at(out), ...change };
  await train(resolveSettings({ flags }), {
    onRecord: (record) => void records.push(record),
    onNotice: (text) => void notices.push(text),
    ...(availableMemoryBytes !== undefined && { availableMemoryBytes }),
  });
  const start = records.find((record) => record.kind === "start")!;
  const header = headerLines(start, 500, styleFor({ write: () => {} }, {})).join("\n");
  return { records, notices, start, header };
}

const evaluated = ({ records }: Ran): number[] =>
  records.flatMap((record) => (record.kind === "eval" ? [record.step] : []));

test("model and data are enough: the header says what will be done, and the run does it", async () => {
  const ran = await run("plain");
  expect(ran.header).toMatch(/^job +fine-tune: LoRA of rank 16, alpha 32 on all 7 linear layers$/m);
  expect(ran.header).toMatch(/^rate +3.7e-2, falling linearly to 0, after \d steps? of warm-up$/m);
  expect(ran.header).toMatch(/^rows +samples of up to 16 tokens, none of them padded; 8 a step$/m);
  expect(ran.header).toMatch(/^steps +\d+: 3 epochs of [\d.]+$/m);
  expect(ran.header).toMatch(/^valid +\d+ samples held out, drawn from the data \(10%, seed 0\); .* so few /m);
  const settings = await readRunSettings(at("plain"));
  const { maxSteps } = settings;
  expect(settings).toMatchObject({
    epochs: 3,
    method: "lora",
    rank: 16,
    lr: 0.037,
    sequenceLength: 16,
    preset: "none",
  });
  expect(ran.start).toMatchObject({ maxSteps, outline: { epochs: 3, batchSize: 8, totalBatchSize: 8, maxSteps } });
  expect(ran.records.at(-1)).toMatchObject({ kind: "end", step: maxSteps, outcome: "done" });
  // More passes, whose steps the start record knows.
  await resume(at("plain"), { changes: { epochs: 3 } });
  expect((await readRunSettings(at("plain"))).maxSteps).toBe(maxSteps);
});

test("--eval-every none makes one evaluation, at the end, and none around merges and quantizing", async () => {
  const change = { method: "relora", quantize: "nf4", maxSteps: 8, reloraEvery: 4, quantBlockSize: 16 };
  const ran = await run("quiet", { ...change, evalEvery: "none" });
  expect(evaluated(ran)).toEqual([8]);
  const around = ran.records.flatMap((each) =>
    each.kind === "merge" || each.kind === "quantize" ? [each.lossAfter] : [],
  );
  expect(around).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  expect(ran.header).toMatch(/evaluated at the end only/);
  const loud = await run("loud", { ...change, evalEvery: "none", evalMilestones: true });
  expect(evaluated(loud)).toEqual([0, 8]);
  // Evaluations change no weight.
  const weights = (name: string): Promise<Buffer> => readFile(at(name, "model", "model.safetensors"));
  expect((await weights("quiet")).equals(await weights("loud"))).toBe(true);
});

test("a run of before has the milestones that --eval-every none had then, and no epochs", async () => {
  const old = fileURLToPath(new URL("../../tests/old-runs/b3f4354/", import.meta.url));
  const name = (await readdir(old, { withFileTypes: true })).find((each) => each.isDirectory())?.name;
  const settings = await readRunSettings(path.join(old, name!));
  expect(settings).toMatchObject({ evalMilestones: true, epochs: null, validData: null });
  expect(await readRunSettings(path.join(old, name!), { evalEvery: "none" })).toMatchObject({ evalMilestones: true });
});

test("--valid-data names what is held out, and all other data are trained on", async () => {
  const { start, header } = await run("named", { validData: at("valid.jsonl"), dryRun: true });
  expect(start.outline).toMatchObject({ heldOutSamples: 5, rowsPerEpoch: 50 });
  expect(header).toContain(`5 samples held out, of ${at("valid.jsonl")}`);
  await writeFile(at("other.txt"), "A text of another kind.");
  await expect(run("kinds", { validData: at("other.txt"), dryRun: true })).rejects.toThrow(
    /other.txt: holds text, and/,
  );
});

test("a length in tokens is that of the samples, and all that hangs on it follows", async () => {
  // Every token that is computed is scored, and counted as trained.
  const change = { maxTrainTokens: 300, trainOnInputs: true, warmupSteps: 0 };
  const { start, records, header } = await run("tokens", change);
  const [first] = records.filter((record) => record.kind === "step");
  const end = records.at(-1) as { step: number; tokens: number };
  expect(end.tokens).toBeLessThanOrEqual(300);
  expect(end.tokens).toBeGreaterThan(300 - first!.tokens);
  expect(start).toMatchObject({ maxSteps: end.step, outline: { maxSteps: end.step } });
  expect(header).toMatch(new RegExp(`^steps +${end.step}: `, "m"));
  expect(await readRunSettings(at("tokens"))).toMatchObject({ maxSteps: end.step, maxTrainTokens: 300 });
  const saved = (await readRunSettings(at("tokens"))).saveEvery;
  expect(saved).toBe(Math.ceil(end.step / 10));
  expect((await resume(at("tokens"))).step).toBe(end.step);
  // A run of before, which counted full rows, has the length that it made of them.
  const config = JSON.parse(await readFile(at("tokens", "config.resolved.json"), "utf8"));
  await writeFile(at("tokens", "config.resolved.json"), JSON.stringify({ ...config, maxSteps: 2 }));
  expect((await readRunSettings(at("tokens"))).maxSteps).toBe(2);
  await expect(run("few", { maxTrainTokens: 20, dryRun: true })).rejects.toThrow(/^maxTrainTokens: must cover/);
});

test("a run is a model: what it has finished is trained on", async () => {
  const { start } = await run("again", { model: at("plain"), dryRun: true });
  expect(start.model).toBe(at("plain", "model"));
  await writeSmallModel(at("begun"), { numLayers: 1 });
  await rm(at("begun", "config.json"));
  await writeFile(at("begun", "config.resolved.json"), "{}");
  await expect(run("more", { model: at("begun"), dryRun: true })).rejects.toThrow(
    /not finished its model.*highrank resume/,
  );
});

test("a rate that ruins the model is named at the end, and no layer is blamed for it", async () => {
  const { notices } = await run("ruined", {
    model: at("plain"),
    lr: 30,
    maxSteps: 12,
    evalEvery: 4,
    divergenceFactor: "none",
  }).catch((error) => ({
    notices: [String(error)],
  }));
  expect(notices.join("\n")).toMatch(/learning rate of (30|28\.6) is (far )?too high|lower lr/);
  expect(notices.join("\n")).not.toMatch(/targetModules/);
  expect((await run("sound", { maxSteps: 6, evalEvery: 3 })).notices).toEqual([]);
});

test("a base whose frozen head keeps adapters from learning is told what it needs", async () => {
  const weak = await run("weak", { dryRun: true });
  expect(weak.header).toMatch(/^needs +--train-modules embeddings,norms,head: .* loss stays above about \d\.\d$/m);
  const { header } = await run("strong", { dryRun: true, trainModules: "embeddings,norms,head" });
  expect(header).not.toContain("needs");
  const sure = {
    change: (tensors: Map<string, { data: ArrayLike<number> }>) => {
      const { data } = tensors.get("lm_head.weight") ?? tensors.get("model.embed_tokens.weight")!;
      for (let i = 0; i < data.length; i++) (data as Float32Array)[i]! *= 20;
    },
  };
  await writeSmallModel(at("sure"), { numLayers: 1, ...(sure as object) });
  expect((await run("able", { model: at("sure"), dryRun: true })).header).not.toContain("needs");
});

test("memory that is short takes fewer rows at a time, then shorter ones", () => {
  const flags = { model: "nano", method: "lora", warmStartSteps: 0, sequenceLength: 256 };
  const settings = completeSettings(resolveSettings({ flags }));
  const build = presetSource("nano", { vocabSize: 4096, maxSequenceLength: 256, endOfTextId: null }, 0).build;
  const fitting = (mib: number) =>
    fitMemory(build, settings, { train: settings, heldOut: settings }, residentMemoryBytes() + mib * 2 ** 20);
  expect(fitting(20_000)).toEqual({ fittingRows: Number.POSITIVE_INFINITY, rowLength: 256 });
  expect(fitting(20_000).fittingRows).toBeGreaterThan(8);
  const { fittingRows, rowLength } = fitting(200);
  expect(fittingRows).toBeGreaterThanOrEqual(1);
  expect(fittingRows).toBeLessThan(8);
  expect(rowLength).toBe(256);
  const short = fitting(1);
  expect(short.fittingRows).toBe(1);
  expect(short.rowLength).toBeLessThan(256);
});
