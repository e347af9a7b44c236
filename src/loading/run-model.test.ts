import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import type { OpenSettings } from "../config/derive.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { train } from "../training/train.js";
import { exportTarget } from "../verbs/export.js";
import { loadTarget } from "../verbs/target.js";
import { locateModels } from "./named-models.js";

let folder = "";
/** Relative, as people name their runs. */
const at = (name: string): string => path.relative(process.cwd(), path.join(folder, name));

function settingsOf(name: string, change: Partial<Settings>): OpenSettings {
  const base = { ...SMALL_RUN, method: "lora", warmStartSteps: 0, maxSteps: 2, sampleTokens: 0, threads: 1 } as const;
  return resolveSettings({ flags: { ...base, data: at("text.txt"), out: at(name), ...change } });
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-run-model-"));
  await writeFile(at("text.txt"), animalText());
  await train(settingsOf("first", {}));
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

test("a run named as the model stands for its finished model", async () => {
  const { runFolder } = await train(settingsOf("second", { model: at("first") }));
  const { model } = JSON.parse(await readFile(path.join(runFolder, "config.resolved.json"), "utf8"));
  expect(model).toBe(path.join(at("first"), "model"));
});

test("a run without a finished model, and an adapter, are named with the way out", async () => {
  await train(settingsOf("stopped", {}), { untilStep: 1 });
  await expect(train(settingsOf("third", { model: at("stopped") }))).rejects.toThrow(
    /is a run that has not finished its model yet; finish it with highrank resume .*stopped, or write its model/,
  );
  await expect(train(settingsOf("third", { model: at("first/adapter") }))).rejects.toThrow(
    /is an adapter; name its base as model, and train it on with adapterFrom/,
  );
});

test("a run named as the tokenizer stands for its own, also before its model is finished", async () => {
  const dryRun = { vocabSize: 999, dryRun: true };
  const tokenizerOf = async (tokenizer: string) =>
    (await locateModels(settingsOf("x", { tokenizer }))).settings.tokenizer;
  for (const [name, inside] of [
    ["first", "model"],
    ["stopped", "base"],
  ] as const) {
    expect(await tokenizerOf(at(name))).toBe(path.join(at(name), inside));
    await train(settingsOf("fourth", { tokenizer: at(name), ...dryRun }));
  }
  await mkdir(at("tokens"));
  await writeFile(at("tokens/config.resolved.json"), "{}");
  await expect(tokenizerOf(at("tokens"))).rejects.toThrow(/^tokenizer: .*tokens is a run without a tokenizer/);
});

test("an adapter names its base by an absolute path, and a run that was moved has it beside the adapter", async () => {
  const baseOf = async (adapter: string): Promise<string> =>
    JSON.parse(await readFile(path.join(at(adapter), "adapter_config.json"), "utf8")).base_model_name_or_path;
  const base = path.join(folder, "first", "base");
  expect(await baseOf("first/adapter")).toBe(base);
  await exportTarget(at("first"), { to: "peft", out: at("peft"), base: null, dtype: null, adapters: [] });
  expect(await baseOf("peft")).toBe(base);
  await exportTarget(at("peft"), { to: "peft", out: at("renamed"), base: at("first/base"), dtype: null, adapters: [] });
  expect(await baseOf("renamed")).toBe(base);

  await rename(at("first"), at("moved"));
  const notices: string[] = [];
  const load = (adapter: string): Promise<unknown> =>
    loadTarget(at(adapter), { base: null, adapter: true, onNotice: (text) => notices.push(text) });
  await load("moved/adapter");
  expect(notices).toEqual([]);
});
