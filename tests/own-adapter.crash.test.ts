import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { AdapterKind } from "../src/adapters/adapter-kind.js";
import { registerAdapter } from "../src/adapters/kinds.js";
import { LoRAAdapter } from "../src/adapters/lora-adapter.js";
import { ConfigError } from "../src/base/errors.js";
import { completeSettings, resolveSettings } from "../src/config/resolve.js";
import type { Settings } from "../src/config/settings.js";
import type { MetricsRecord } from "../src/runs/metrics.js";
import { resume } from "../src/training/resume.js";
import { startTraining } from "../src/training/start.js";
import { train } from "../src/training/train.js";
import { checkRun } from "../src/verbs/doctor/check-run.js";
import { evaluateTarget } from "../src/verbs/evaluate.js";
import { exportTarget } from "../src/verbs/export.js";
import { mergeTarget } from "../src/verbs/merge.js";
import { testAdapterContract } from "./adapters/contract.js";
import { animalText } from "./animal-text.js";
import { runCommand } from "./run-command.js";
import { runContents } from "./run-contents.js";

// The example registers its class, as a program that uses the library does.
const log = vi.spyOn(console, "log").mockImplementation(() => {});
const { KroneckerAdapter } = await import("../examples/08-own-adapter.js");
log.mockRestore();

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-own-adapter-"));
  await mkdir(at("data"));
  await writeFile(at("data/train.txt"), animalText());
  await writeFile(at("data/valid.txt"), animalText().slice(0, 3000));
});
afterAll(() => rm(folder, { recursive: true }));
const at = (...parts: string[]): string => path.join(folder, ...parts);

function settingsOf(name: string, change: Partial<Settings> = {}): Settings {
  const sizes = { model: "tiny", vocabSize: 300, batchSize: 2, totalBatchSize: 4, sequenceLength: 32, threads: 1 };
  const steps = { maxSteps: 11, warmStartSteps: 3, reloraEvery: 3, saveEvery: 4, evalEvery: 4, sampleTokens: 0 };
  const rates = { lr: 3e-3, adapterLr: 2e-2, evalTokens: 100_000 };
  const flags = { method: "relora", adapterKind: "kronecker", rank: 8, ...sizes, ...steps, ...rates, ...change };
  return completeSettings(resolveSettings({ flags: { ...flags, data: at("data"), out: at(name) } }));
}

async function lossOf(target: string, checkpoint: number | null = null): Promise<number> {
  const sizes = { batchSize: 2, sequenceLength: 32, maxTokens: null, adapter: true } as const;
  const options = { ...sizes, data: at("data/valid.txt"), base: null, checkpoint, device: "cpu", threads: 1 } as const;
  return (await evaluateTarget(target, options)).loss;
}

describe("the adapter of the example", () => {
  testAdapterContract({
    create: (inFeatures, outFeatures, rng) => new KroneckerAdapter(inFeatures, outFeatures, 6, rng),
    // 5 outputs and 7 inputs make a grid of 5 × 1 with blocks of 1 × 7.
    parameterCount: (inFeatures, outFeatures) => inFeatures + outFeatures,
    movesFirst: ["b"],
  });
});

const CASES: readonly (readonly [name: string, change: Partial<Settings>, policy: string | null])[] = [
  ["float32", { optimizerReset: "primed", restartBatches: 2 }, null],
  ["nf4", { quantize: "nf4", mergePolicy: "delta-log" }, "delta-log"],
];

describe.each(CASES)("a class from outside the package, on %s,", (name, change, policy) => {
  const whole: MetricsRecord[] = [];
  beforeAll(() => train(settingsOf(name, change), { onRecord: (record) => void whole.push(record) }));

  test("is trained, merged and restarted", () => {
    const merges = whole.filter((record) => record.kind === "merge");
    expect(merges.map((merge) => [merge.step, merge.policy])).toEqual(
      [6, 9, 11].map((step) => [step, step === 11 ? null : policy]),
    );
    for (const { deltaNorm, lossBefore, lossAfter, rank } of merges) {
      expect(deltaNorm).toBeGreaterThan(0.01);
      expect(rank).toBeGreaterThan(0);
      if (policy === null) expect(lossAfter).toBeCloseTo(lossBefore, 4);
    }
  });

  test.each([5, 8])("resumes from step %i with the bits of the run that was not stopped", async (step) => {
    const stopped = at(`${name}-${step}`);
    await train(settingsOf(`${name}-${step}`, change), { untilStep: step });
    const { findings } = await checkRun(stopped);
    expect(findings.find(({ area }) => area === "adapter")).toMatchObject({ state: "ok" });
    await resume(stopped, { changes: { threads: 2 } });
    expect(await runContents(stopped)).toEqual(await runContents(at(name)));
  });

  test("has the loss of its last evaluation, also merged and as a PEFT adapter", async () => {
    const { loss } = whole.findLast((record) => record.kind === "eval")!;
    expect(await lossOf(at(name), 11)).toBeCloseTo(loss, 5);
    const options = { base: null, dtype: null } as const;
    await mergeTarget(at(name), { ...options, out: at(`${name}-merged`), verify: false });
    await exportTarget(at(name), { ...options, to: "peft", out: at(`${name}-peft`) });
    // Of quantized weights all of these hold what was exact before rounding.
    const exact = policy === null ? loss : await lossOf(at(name));
    for (const other of [at(name, "adapter"), at(`${name}-peft`), at(`${name}-merged`)]) {
      expect(await lossOf(other), other).toBeCloseTo(exact, 5);
    }
    expect((await checkRun(at(name))).findings.filter(({ state }) => state !== "ok")).toEqual([]);
  });

  test("is exported from the middle of a cycle as what it computes then", async () => {
    const out = at(`${name}-middle`);
    await exportTarget(at(name), { base: null, dtype: null, to: "peft", out, checkpoint: 8 });
    expect(await lossOf(out)).toBeCloseTo(await lossOf(at(name), 8), policy === null ? 5 : 2);
  });
});

test("docs/adapters.md teaches the example as it is", async () => {
  const read = (name: string) => readFile(new URL(`../${name}`, import.meta.url), "utf8");
  expect(await read("docs/adapters.md")).toContain(`\`\`\`ts\n${await read("examples/08-own-adapter.ts")}\`\`\`\n`);
});

describe("a kind of adapter", () => {
  const LORA: AdapterKind = LoRAAdapter.kind;

  test("is registered once, by a name that a flag can have", () => {
    expect(() => registerAdapter("kronecker", LORA)).toThrow(
      'there is a kind "kronecker" already; choose another name',
    );
    expect(() => registerAdapter("lora", LORA)).toThrow(ConfigError);
    for (const name of ["", "8bit", "two words", "-x"]) {
      expect(() => registerAdapter(name, LORA), name).toThrow(/must be letters, digits, - and _, .* got/);
    }
  });

  test("refuses settings that it says it cannot serve", () => {
    expect(() => settingsOf("share", { restartShare: 0.5 })).toThrow("kind kronecker has no directions");
    expect(() => settingsOf("near", { quantize: "nf4", mergePolicy: "residual" })).toThrow("the kind kronecker cannot");
    registerAdapter("once", { ...LORA, noCycles: "a cycle would forget those before it" });
    expect(() => settingsOf("once", { adapterKind: "once" })).toThrow(
      'adapterKind: once is for method lora. With relora a cycle would forget those before it; use method: "lora"',
    );
  });

  test("that is not registered is refused with the way out: in settings, in a run folder and in a worker", async () => {
    const says = /"unheard-of"; a class of your own must be registered before: import the module .*NODE_OPTIONS/;
    expect(() => settingsOf("unknown", { adapterKind: "unheard-of" })).toThrow(says);
    const file = at("float32/config.resolved.json");
    const config = await readFile(file, "utf8");
    await writeFile(file, config.replace('"kronecker"', '"unheard-of"'));
    await expect(resume(at("float32"))).rejects.toThrow(says);
    await expect(lossOf(at("float32/model"))).resolves.toBeGreaterThan(0);
    await writeFile(file, config);
    // The worker is another thread, which has not imported the example.
    const { done } = startTraining(settingsOf("worker"), { onRecord: () => {} });
    await expect(done).rejects.toThrow(/must be one of lora, dora, core, got "kronecker"; a class of your own/);
  });

  test("is known to the command line and its workers by a module that they import", async () => {
    const library = pathToFileURL(fileURLToPath(new URL("../dist/index.js", import.meta.url)));
    await writeFile(
      at("diagonal.mjs"),
      `import { LinearAdapter, mul, Parameter, registerAdapter, reshape, tensor } from "${library}";
      class DiagonalAdapter extends LinearAdapter {
        scale = new Parameter(new Float32Array(this.outFeatures), [this.outFeatures]);
        reset() { this.scale.values.fill(0); }
        calculateWeightUpdate() {
          const { inFeatures: columns, outFeatures: rows } = this;
          const ones = tensor(Float32Array.from({ length: rows * columns }, (_, i) => Number(i % rows === 0)), [rows, columns]);
          return mul(reshape(this.scale, [rows, 1]), ones);
        }
      }
      registerAdapter("diagonal", { create: (inFeatures, outFeatures) => new DiagonalAdapter(inFeatures, outFeatures), ignores: ["rank"] });`,
    );
    const flags = ["--adapter-kind", "diagonal", "--max-steps", "4", "--warm-start-steps", "1", "--relora-every", "2"];
    const sizes = ["--model", "tiny", "--vocab-size", "300", "--sequence-length", "16", "--quantize", "none"];
    const run = ["train", "--data", at("data"), "--out", at("by-command"), ...flags, ...sizes, "--sample-tokens", "0"];
    const env = { NODE_OPTIONS: `--import ${pathToFileURL(at("diagonal.mjs"))}` };
    const { code, stderr } = await runCommand(run, { env });
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const merged = await readFile(at("by-command/metrics.jsonl"), "utf8");
    expect(merged.match(/"kind":"merge"/g)).toHaveLength(2);
  });
});
