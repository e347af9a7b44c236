import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError } from "../src/base/errors.js";
import { resolveSettings } from "../src/config/resolve.js";
import type { Settings } from "../src/config/settings.js";
import { readModelFolder, writeModelFolder } from "../src/formats/model-folder.js";
import { readPeftAdapter } from "../src/formats/peft.js";
import { train } from "../src/training/train.js";
import { evaluateTarget } from "../src/verbs/evaluate.js";
import type { ExportOptions } from "../src/verbs/export.js";
import { exportTarget } from "../src/verbs/export.js";
import { type ExportedOnnx, exportOnnx } from "../src/verbs/export-onnx.js";
import type { ExportedAdapter } from "../src/verbs/export-peft.js";
import { generateText } from "../src/verbs/generate.js";
import { mergeTarget } from "../src/verbs/merge.js";
import { openTarget, unmergedOf } from "../src/verbs/target.js";
import { continueText, onnxFiles } from "./onnx-text.js";
import { peersPython } from "./peers/environment.js";
import { runCommand } from "./run-command.js";
import { TEXT, writeSmallModel } from "./small-model.js";

const PYTHON = peersPython();

let folder = "";
const at = (name: string): string => path.join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-export-"));
  for (const name of ["a.txt", "b.txt"]) await writeFile(at(name), TEXT);
  await writeSmallModel(at("float"));
  await run("relora", { quantize: "nf4", mergePolicy: "requantize" });
});
afterAll(() => rm(folder, { recursive: true }));

/** Three cycles of rank 4, of which the last is not merged when the run is stopped. */
async function run(name: string, change: Partial<Settings>, { stopped = false } = {}): Promise<void> {
  const flags = {
    ...{ model: at("float"), data: at("a.txt"), method: "relora", rank: 4, batchSize: 2, sequenceLength: 16 },
    ...{ maxSteps: 6, reloraEvery: 2, adapterLr: 2e-2, evalTokens: 100, sampleTokens: 0, threads: 1 },
    ...{ trainModules: ["norms"], out: at(name) },
    ...change,
  };
  let steps = 0;
  await train(resolveSettings({ flags: flags as Partial<Settings> }), {
    stopRequested: () => stopped && ++steps === 5,
  });
}

function exportAs(to: ExportOptions["to"], target: string, out: string, options: Partial<ExportOptions> = {}) {
  return exportTarget(at(target), { to, out: at(out), base: null, dtype: null, ...options });
}

async function lossOf(target: string, base: string | null = null): Promise<number> {
  const options = { data: at("a.txt"), batchSize: 2, sequenceLength: 16, maxTokens: null, base, adapter: true };
  return (await evaluateTarget(target, { ...options, device: "cpu", threads: 1 })).loss;
}

describe("--to onnx", () => {
  async function generated(target: string): Promise<string> {
    const sampling = { temperature: 0, topK: null, topP: 1, seed: 0, maxNewTokens: 12, prompt: "The 3th" };
    const { text } = await generateText(target, { ...sampling, base: null, adapter: true, device: "cpu", threads: 1 });
    return text;
  }

  test("the file says what generate says, token by token after its cache", async () => {
    const exported = (await exportAs("onnx", "relora", "onnx")) as ExportedOnnx;
    expect(exported).toMatchObject({ model: "onnx/model.onnx", dtype: "float32", dataFiles: 0, hasTokenizer: true });
    expect(exported.quantizer).toBe("nf4 in blocks of 64");
    const text = await continueText(at("onnx"), "The 3th", 12);
    expect(text.length).toBeGreaterThan(5);
    expect(text).toBe(await generated(at("relora")));
  });

  test("the folder is laid out as transformers.js reads it", async () => {
    expect((await readdir(at("onnx"))).sort()).toEqual([
      ...["README.md", "config.json", "generation_config.json", "onnx", "tokenizer.json", "tokenizer_config.json"],
    ]);
    const config = JSON.parse(await readFile(at("onnx/config.json"), "utf8"));
    expect(config).toMatchObject({ model_type: "llama", "transformers.js_config": { dtype: "fp32" } });
    expect(config["transformers.js_config"]).not.toHaveProperty("use_external_data_format");
    const session = await InferenceSession.create(at("onnx/onnx/model.onnx"));
    const layers = [0, 1].flatMap((layer) => [`${layer}.key`, `${layer}.value`]);
    const tokens = ["input_ids", "attention_mask", "position_ids"];
    expect(session.inputNames).toEqual([...tokens, ...layers.map((name) => `past_key_values.${name}`)]);
    expect(session.outputNames).toEqual(["logits", ...layers.map((name) => `present.${name}`)]);
  });

  test("float16 holds the matrices in half the bytes and computes in float32", async () => {
    await exportAs("onnx", "relora", "half", { dtype: "float16" });
    expect(await onnxFiles(at("half"))).toEqual(["model_fp16.onnx"]);
    const sizes = [at("onnx/onnx/model.onnx"), at("half/onnx/model_fp16.onnx")].map(
      async (file) => (await readFile(file)).length,
    );
    const [whole, half] = (await Promise.all(sizes)) as [number, number];
    expect(whole - half).toBeGreaterThan(2 * 13_000 * 0.9);
    expect(await continueText(at("half"), "The 3th", 12)).toBe(await generated(at("relora")));
    const config = JSON.parse(await readFile(at("half/config.json"), "utf8"));
    expect(config["transformers.js_config"]).toEqual({ dtype: "fp16" });
  });

  test("weights that are too many for one file lie beside the model", async () => {
    const unmerged = await unmergedOf(await openTarget(at("relora"), { base: null }));
    const exported = await exportOnnx(unmerged, { out: at("beside"), dtypes: ["float32"], largestFile: 40_000 });
    expect(exported.dataFiles).toBeGreaterThan(1);
    const names = ["model.onnx", "model.onnx_data"];
    for (let i = 1; i < exported.dataFiles; i++) names.push(`model.onnx_data_${i}`);
    expect(await onnxFiles(at("beside"))).toEqual(names.sort());
    const config = JSON.parse(await readFile(at("beside/config.json"), "utf8"));
    expect(config["transformers.js_config"].use_external_data_format).toEqual({ "model.onnx": exported.dataFiles });
    expect(await continueText(at("beside"), "The 3th", 12)).toBe(await generated(at("relora")));
  });

  test("rounded files say what they lose on what the run held out", async () => {
    const options = { dtype: ["q4", "fp32", "q8"], lossTokens: 60 } as const;
    const { models, float32, ...first } = (await exportAs("onnx", "relora", "rounded", options)) as ExportedOnnx;
    expect(await onnxFiles(at("rounded"))).toEqual(["model.onnx", "model_q4.onnx", "model_quantized.onnx"]);
    expect(first).toMatchObject({ model: "onnx/model_q4.onnx", dtype: "q4" });
    expect(models.map(({ dtype, loss }) => [dtype, loss === null])).toEqual([
      ["q4", false],
      ["float32", true],
      ["q8", false],
    ]);
    // The widths of the model are no blocks, so that nothing is rounded.
    for (const { loss } of [models[0]!, models[2]!]) {
      expect(loss).toBeCloseTo((float32 as { readonly loss: number }).loss, 4);
    }
    expect(float32).toMatchObject({ data: expect.stringMatching(/^held out of .*a\.txt/) });
    expect((float32 as { readonly tokens: number }).tokens).toBeGreaterThan(20);
  });

  test("without data of its own, a model is measured on the built-in text; 0 tokens are none", async () => {
    const { float32 } = (await exportAs("onnx", "float", "built-in", { dtype: "q8", lossTokens: 100 })) as ExportedOnnx;
    expect(float32).toMatchObject({ data: "held out of builtin:wordnet" });
    const silent = (await exportAs("onnx", "float", "silent", { dtype: "q8", lossTokens: 0 })) as ExportedOnnx;
    expect(silent).toMatchObject({ float32: null, loss: null });
    // Nothing else has a loss to compare, and none of them is nothing to refuse.
    const plain = [
      ["onnx", {}],
      ["onnx", { dtype: "fp32" }],
      ["hf", {}],
      ["gguf", {}],
    ] as const;
    for (const [format, options] of plain) {
      const said = exportAs(format, "float", "nowhere", { ...options, lossTokens: 100 });
      await expect(said).rejects.toThrow(
        /^lossTokens is for to: "onnx" with weights that are rounded, .*leave it out$/,
      );
    }
    await exportAs("onnx", "float", "exact", { lossTokens: 0 });
  });

  test("a run whose data are gone is exported without a loss, and why is said", async () => {
    await run("moved", { data: at("b.txt"), maxSteps: 2, method: "lora" });
    await rm(at("b.txt"));
    const { float32, models } = (await exportAs("onnx", "moved", "moved-onnx", { dtype: "q8" })) as ExportedOnnx;
    expect(float32).toMatch(/b\.txt: the data that the run was begun with are not there/);
    expect(models).toMatchObject([{ dtype: "q8", loss: null }]);
  });

  test("the chat template stands where transformers.js and transformers look", async () => {
    const template = "{% for message in messages %}{{ message.content }}{% endfor %}";
    for (const [name, place] of [
      ["in-config", "tokenizer_config.json"],
      ["in-file", "chat_template.jinja"],
    ] as const) {
      await writeSmallModel(at(name));
      const config = JSON.parse(await readFile(at(`${name}/tokenizer_config.json`), "utf8"));
      const isFile = place === "chat_template.jinja";
      const text = isFile ? template : JSON.stringify({ ...config, chat_template: template });
      await writeFile(at(`${name}/${place}`), text);
      await exportAs("onnx", name, `${name}-onnx`);
      expect(await readFile(at(`${name}-onnx/chat_template.jinja`), "utf8")).toBe(template);
      const written = JSON.parse(await readFile(at(`${name}-onnx/tokenizer_config.json`), "utf8"));
      expect(written).toEqual({ ...config, chat_template: template });
    }
  });

  test.skipIf(PYTHON === null)(
    "an independent reader finds the file valid, with every size that a run decides by name",
    () => {
      const { status, stdout, stderr } = spawnSync(PYTHON!, ["-c", CHECKER, at("onnx/onnx/model.onnx")]);
      expect(stderr.toString()).toBe("");
      expect(status).toBe(0);
      const found = JSON.parse(stdout.toString());
      expect(found.domains).toEqual([""]);
      expect(found.inputs.input_ids).toEqual(["batch_size", "sequence_length"]);
      expect(found.inputs.attention_mask).toEqual(["batch_size", "total_sequence_length"]);
      expect(found.inputs["past_key_values.1.value"]).toEqual(["batch_size", 2, "past_sequence_length", 8]);
      expect(found.outputs.logits).toEqual(["batch_size", "sequence_length", 280]);
      expect(found.outputs["present.0.key"]).toEqual(["batch_size", 2, "total_sequence_length", 8]);
    },
  );

  test("bfloat16 is refused, which such files do not hold", async () => {
    await expect(exportAs("onnx", "float", "nowhere", { dtype: "bfloat16" })).rejects.toThrow(/float32 or float16/);
  });
});

describe("--to peft", () => {
  test("a run on a quantized base becomes one adapter of all its ranks", async () => {
    const exported = (await exportAs("peft", "relora", "peft")) as ExportedAdapter;
    const own = await readPeftAdapter(at("relora/adapter"));
    expect(exported).toMatchObject({ rank: own.rank, layers: 14, baseModel: at("relora/base") });
    expect(exported.rank % 12).toBe(0); // Three cycles.
    expect(exported.quantizer).toBe("nf4 in blocks of 64");
    expect(exported.modulesToSave).toHaveLength(5);
    const written = await readPeftAdapter(at("peft"));
    expect(written).toEqual(own);
  });

  test("an adapter that lacks what merges rounded says so, and states no loss of the run's", async () => {
    await run("logged", { quantize: "nf4" });
    const cards: string[] = [];
    for (const [target, said] of [
      ["relora", [/^.*relora: with merge policy requantize .* computes another model than the run; for that, write/]],
      ["logged", []],
    ] as const) {
      const notices: string[] = [];
      const out = `${target}-again`;
      await exportAs("peft", target, out, { onNotice: (notice) => notices.push(notice) });
      expect(notices).toEqual(said.map((words) => expect.stringMatching(words)));
      for (const file of [`${out}/README.md`, `${target}/adapter/README.md`])
        cards.push(await readFile(at(file), "utf8"));
      const away = Math.abs((await lossOf(at(out))) - (await lossOf(at(target))));
      if (said.length === 0) expect(away).toBeLessThan(1e-5);
      else expect(away).toBeGreaterThan(1e-5);
    }
    for (const card of cards.slice(0, 2)) {
      expect(card).toContain("No loss of it was measured: with merge policy requantize");
      expect(card).not.toContain("Held-out loss");
    }
    for (const card of cards.slice(2)) expect(card).toContain("Held-out loss");
    expect(await readFile(at("relora/model/README.md"), "utf8")).toContain("Held-out loss");
  });

  test("a run that was stopped is its last checkpoint, and evaluates as that does", async () => {
    await run("stopped", {}, { stopped: true });
    await rm(at("stopped/adapter"), { recursive: true });
    await exportAs("peft", "stopped", "stopped-peft");
    expect(Math.abs((await lossOf(at("stopped-peft"))) - (await lossOf(at("stopped"))))).toBeLessThan(1e-5);
  });

  test("what was trained beside and did not change is left out", async () => {
    await run("still", { lr: 1e-20, adapterLr: 1e-20 }); // Too little for norms that stand at one.
    expect((await readPeftAdapter(at("still/adapter"))).modulesToSave.size).toBe(5);
    const { modulesToSave } = (await exportAs("peft", "still", "still-peft")) as ExportedAdapter;
    expect(modulesToSave).toEqual([]);
  });

  test("of a tied table that was trained both names are saved, and evaluate as the run does", async () => {
    const { config, tensors, tokenizerJson } = await readModelFolder(at("float"));
    const kept = new Map([...tensors].filter(([name]) => name !== "lm_head.weight"));
    const files = new Map([["tokenizer.json", tokenizerJson!]]);
    await writeModelFolder(at("tied"), { config: { ...config, tie_word_embeddings: true }, tensors: kept, files });
    await run("tied-run", { model: at("tied"), trainModules: ["embeddings"] });
    const { modulesToSave } = (await exportAs("peft", "tied-run", "tied-peft")) as ExportedAdapter;
    expect([...modulesToSave].sort()).toEqual(["lm_head.weight", "model.embed_tokens.weight"]);
    expect(Math.abs((await lossOf(at("tied-peft"))) - (await lossOf(at("tied-run"))))).toBeLessThan(1e-5);
    expect(Math.abs((await lossOf(at("tied-peft"))) - (await lossOf(at("tied"))))).toBeGreaterThan(1e-3);
  });

  test("an adapter passes through", async () => {
    await exportAs("peft", "peft", "again", { base: at("float") });
    const [one, other] = [await readPeftAdapter(at("peft")), await readPeftAdapter(at("again"))];
    expect(other).toEqual({ ...one, baseModel: at("float") });
  });

  test("what no adapter can hold is refused with the way out", async () => {
    const flags = { model: at("float"), data: at("a.txt"), method: "full", maxSteps: 2, batchSize: 2, threads: 1 };
    const more = { sequenceLength: 16, evalTokens: 100, sampleTokens: 0, out: at("full") };
    await train(resolveSettings({ flags: { ...flags, ...more } }));
    await run("warm", { warmStartSteps: 8, maxSteps: 14 }, { stopped: true });
    for (const [target, why] of [
      ["full", /trained every weight \(method full\).*to: "hf"/],
      ["warm", /still in its warm start.*resume it/],
      ["float", /is a whole model.*to: "hf"/],
    ] as const) {
      const exporting = exportAs("peft", target, "nowhere");
      await expect(exporting).rejects.toThrow(ConfigError);
      await expect(exporting).rejects.toThrow(why);
    }
    await expect(exportAs("peft", "relora", "nowhere", { dtype: "float32" })).rejects.toThrow(/dtype is for to hf/);
    expect(await readdir(folder)).not.toContain("nowhere");
  });
});

test("--to hf is what merge writes", async () => {
  await exportAs("hf", "relora", "hf");
  await mergeTarget(at("relora"), { out: at("merged"), base: null, dtype: null, verify: false });
  expect((await readModelFolder(at("hf"))).tensors).toEqual((await readModelFolder(at("merged"))).tensors);
});

test("--to hf takes one type, of floats", async () => {
  for (const dtype of ["q4", ["float16", "float32"]] as const) {
    await expect(exportAs("hf", "float", "nowhere", { dtype })).rejects.toThrow(/^dtype: to hf takes one of float32/);
  }
  expect(await exportAs("hf", "float", "fp16", { dtype: "fp16" })).toMatchObject({ dtype: "float16" });
});

test("a model without a tokenizer is exported, and that is said", async () => {
  const { config, tensors } = await readModelFolder(at("float"));
  await writeModelFolder(at("bare"), { config, tensors });
  expect(await exportAs("onnx", "bare", "bare-onnx")).toMatchObject({ hasTokenizer: false, quantizer: null });
});

test("the command says what it wrote, within 80 columns", async () => {
  const cwd = folder;
  const onnx = await runCommand(["export", "relora", "--to", "onnx", "--out", "said-onnx"], { cwd });
  expect(onnx).toMatchObject({ code: 0, stderr: "" });
  expect(onnx.stdout).toMatch(/^exported {2}13\.\dK parameters in float32, \d+\.\d KiB\nmodel {5}onnx\/model\.onnx\n/);
  expect(onnx.stdout).toMatch(
    /weights {3}floats; during training the base is nf4 in blocks of 64\nwrote {5}said-onnx\n\nNext: highrank inspect said-onnx\n$/,
  );
  const peft = await runCommand(["export", "relora", "--to", "peft", "--out", "said-peft"], { cwd });
  expect(peft.stdout).toMatch(/^adapter {3}rank \d+, 14 layers\ntrained {3}5 parameters in full/);
  expect(peft.stdout).toMatch(/\nbase {6}\/.*\/relora\/base\n/);
  expect(peft.stdout).toMatch(/\n\nNext: highrank generate said-peft --prompt '.+'\n$/);
  const help = await runCommand(["export", "--help"], { cwd, env: { COLUMNS: "80" } });
  for (const line of `${onnx.stdout}\n${peft.stdout}\n${help.stdout}`.split("\n")) {
    expect(line.length).toBeLessThanOrEqual(80);
  }
  const json = await runCommand(["export", "relora", "--to", "hf", "--out", "as-json", "--json"], { cwd });
  expect(JSON.parse(json.stdout)).toMatchObject({ format: "hf", folder: "as-json", dtype: "float32", files: 1 });
  const taken = await runCommand(["export", "relora", "--to", "hf", "--out", "as-json"], { cwd });
  expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining("as-json is not empty") });
});

test("inspect shows an exported folder and a file of it, and a model in shards", async () => {
  const cwd = folder;
  await exportAs("onnx", "float", "shown");
  const text = await runCommand(["inspect", "shown"], { cwd });
  expect(text).toMatchObject({ code: 0, stderr: "" });
  expect(text.stdout).toMatch(/^ONNX model folder\n/);
  expect(text.stdout).toMatch(/\n {2}model_type +llama\n/);
  expect(text.stdout).toMatch(
    /\n {2}input +past_key_values\.1\.value +FLOAT +\(batch_size, 2, past_sequence_length, 8\)\n/,
  );
  expect(text.stdout).toMatch(/\n {2}holds +model\.norm\.weight +FLOAT +\(16\)\n/);
  const { stdout } = await runCommand(["inspect", "shown/onnx/model.onnx", "--json"], { cwd });
  const found = JSON.parse(stdout);
  expect(found).toMatchObject({ kind: "onnx", config: null, irVersion: 8, opsets: { "": 17 }, dataFiles: [] });
  expect(found.operators.Softmax).toBe(2);
  const { config, tensors } = await readModelFolder(at("float"));
  await writeModelFolder(at("shards"), { config, tensors, shardBytes: 9000 });
  const shards = await runCommand(["inspect", "shards", "--json"], { cwd });
  const whole = await runCommand(["inspect", "float", "--json"], { cwd });
  expect({ ...JSON.parse(shards.stdout), path: "float" }).toEqual(JSON.parse(whole.stdout));
});

/** Checks a model and infers its shapes, strictly; prints what it declares, and the shapes of its outputs as inferred. */
const CHECKER = `
import json, sys, onnx
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
def shape(v): return [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
json.dump(dict(domains=[o.domain for o in model.opset_import], inputs={v.name: shape(v) for v in model.graph.input},
               outputs={v.name: shape(v) for v in inferred.graph.output}), sys.stdout)
`;
