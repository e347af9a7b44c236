import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Settings } from "../src/config/settings.js";
import { chooseRunFolder, readRunSettings } from "../src/runs/run-folder.js";
import { type Observation, observe } from "./old-runs/observe.mjs";
import { withFolder } from "./run-command.js";

// A run folder of b3f4354 resumes under every later version with the meaning its settings had, losses within 1e-5.
// See old-runs/README.md.

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const OLD = fileURLToPath(new URL("./old-runs/b3f4354", import.meta.url));

/** What makes each run what it is, by the names of today. A setting that is renamed is renamed here; no value ever changes. */
const SETTINGS: Readonly<Record<string, Partial<Settings>>> = {
  "relora-nf4": {
    method: "relora",
    alpha: 8,
    dropout: 0.1,
    quantize: "nf4",
    quantBlockSize: 32,
    mergePolicy: "delta-log",
    warmStartSteps: 3,
    reloraEvery: 4,
    restartWarmupSteps: 1,
    totalBatchSize: 4,
    weightDecay: 0.01,
    checkpointing: true,
  },
  "lora-dora": {
    method: "lora",
    adapterKind: "dora",
    targetModules: ["q_proj", "v_proj", "down_proj"],
    rankPattern: ["down_proj=2"],
    rslora: true,
    adapterInit: "kaiming",
    loraPlusRatio: 4,
    loadBest: true,
  },
  "relora-core": {
    method: "relora",
    adapterKind: "core",
    quantize: "int8",
    mergePolicy: "error-feedback",
    optimizerReset: "primed",
    restartBatches: 2,
    trainModules: ["norms"],
    adapterLr: 0.05,
  },
  "lora-chats": { method: "lora", trainOnInputs: false, sequenceLength: 48 },
};

/** The same, with each fraction standing for all numbers within 1e-5 of it. */
function near(value: unknown): unknown {
  if (typeof value === "number" && !Number.isInteger(value))
    return expect.toSatisfy((x) => Math.abs(x - value) <= 1e-5);
  if (Array.isArray(value)) return value.map(near);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, near(inner)]));
}

describe("a run of b3f4354", async () => {
  const expected: Record<string, Observation> = JSON.parse(await readFile(path.join(OLD, "expected.json"), "utf8"));

  test("is there with each kind of adapter", () => {
    expect(Object.keys(expected)).toEqual(Object.keys(SETTINGS));
  });

  test.each(Object.keys(SETTINGS))("that is %s keeps the meaning of its settings", async (name) => {
    const settings = await readRunSettings(path.join(OLD, name));
    expect(settings).toMatchObject(SETTINGS[name]!);
    const stored = JSON.parse(await readFile(path.join(OLD, name, "config.resolved.json"), "utf8"));
    const shared = Object.keys(settings).filter((key) => key in stored);
    expect(shared.length).toBeGreaterThan(40);
    // It had no names for its values yet.
    const { packing, ...others } = stored;
    expect(settings.packing).toBe(packing === null ? "auto" : packing ? "joined" : "none");
    for (const key of shared.filter((each) => each in others)) expect(settings, key).toHaveProperty(key, others[key]);
  });

  test.each(Object.keys(SETTINGS))("that is %s can be replaced", async (name) => {
    const out = path.join(OLD, name);
    const settings = { ...(await readRunSettings(out)), model: "tiny", adapterFrom: null, out, overwrite: true };
    expect(await chooseRunFolder(settings)).toBe(out);
  });

  test.concurrent.each(Object.entries(expected))(
    "that is %s is read, exported and resumed as it was",
    async (name, before) => {
      await withFolder({}, async (folder) => {
        await cp(OLD, folder, { recursive: true });
        // The report is left out of what is kept here.
        await writeFile(path.join(folder, name, "report.html"), "");
        // An adapter's base is an absolute path.
        const observed = JSON.stringify(await observe(MAIN, { name, folder }, ["--no-chat"])).replaceAll(
          `${folder}/`,
          "",
        );
        expect(JSON.parse(observed)).toMatchObject(near(before) as object);
      });
    },
  );
});
