import { expect, test } from "vitest";
import type { ConfigError } from "../base/errors.js";
import { flagOf } from "../base/naming.js";
import { type ConfigFile, loadConfigFile } from "./config-file.js";
import { flagDefinitions } from "./flags.js";
import { SETTING_KEYS, settingOf } from "./names.js";
import { completeSettings, resolveSettings } from "./resolve.js";
import { choicesOf } from "./schema.js";
import type { SettingKey } from "./settings.js";

const TUNED = { model: "org/model", data: "chats.jsonl" };
const FACTS = {
  hiddenSize: 576,
  modelLength: 2048,
  records: 300,
  longestRow: 61,
  rowsPerEpoch: 290,
  evaluationRows: 10,
};
const tuned = (flags: Record<string, unknown> = {}, facts: object = {}) =>
  completeSettings(resolveSettings({ flags: { ...TUNED, ...flags } }), { ...FACTS, ...facts });
const faultOf = (flags: Record<string, unknown>, file?: ConfigFile): string => {
  try {
    return JSON.stringify(resolveSettings({ flags, ...(file !== undefined && { file }) }));
  } catch (error) {
    return (error as ConfigError).commandLineMessage;
  }
};

test("a length in tokens waits for the rows, unless the settings say that they are full", () => {
  const rowsWithin = (tokens: number) => Math.floor(tokens / 10);
  const ofSamples = { data: "a.jsonl", model: "nano", maxTrainTokens: 2000, method: "full" };
  const open = resolveSettings({ flags: ofSamples });
  expect(open).toMatchObject({ maxSteps: undefined, warmupSteps: undefined });
  expect(() => completeSettings(open)).toThrow(/maxSteps: follows from the model or the data/);
  expect(completeSettings(open, { rowsWithin })).toMatchObject({ maxSteps: 25, warmupSteps: 2 });
  const stepsOf = (flags: Record<string, unknown>, facts = {}) =>
    completeSettings(resolveSettings({ flags: { ...ofSamples, ...flags } }), { rowsWithin, ...facts }).maxSteps;
  // The shorter of two lengths ends the run.
  expect([stepsOf({ maxSteps: 7 }), stepsOf({ maxSteps: 70 })]).toEqual([7, 25]);
  expect([stepsOf({ epochs: 1 }, { rowsPerEpoch: 80 }), stepsOf({ epochs: 9 }, { rowsPerEpoch: 80 })]).toEqual([
    10, 25,
  ]);
  expect(() => stepsOf({ maxTrainTokens: 79 })).toThrow(/^maxTrainTokens: must cover the first step/);
  for (const data of ["a.txt", "a.md", "a.txt.gz", "builtin:wordnet"]) {
    expect(resolveSettings({ flags: { ...ofSamples, data, sequenceLength: 50 } }).maxSteps).toBe(5);
    expect(resolveSettings({ flags: { ...ofSamples, data, packing: "separate" } }).maxSteps).toBeUndefined();
  }
  // What a run has made of it stays, as that of one which counted otherwise.
  const values = { ...completeSettings(open, { rowsWithin }), maxSteps: 4 };
  const file = { path: "config.resolved.json", values, isResolved: true };
  expect(completeSettings(resolveSettings({ file }), { rowsWithin })).toEqual({ ...values, out: null });
});

test("a model that has learned is fine-tuned with LoRA alone, for three epochs, on rows as long as the samples", () => {
  expect(tuned()).toMatchObject({
    ...{ method: "lora", rank: 16, alpha: 32, trainModules: [], targetModules: ["all-linear"], dropout: 0 },
    ...{ epochs: 3, maxSteps: 109, batchSize: 8, totalBatchSize: 8, sequenceLength: 64, validationFraction: 0.033 },
    ...{ lr: 1e-3, adapterLr: 1e-3, schedule: "linear", warmupSteps: 10, warmStartSteps: 0, weightDecay: 0 },
    ...{ evalEvery: 11, evalMilestones: true, saveEvery: 11, preset: "none" },
  });
});

test("until model and data are seen, what follows from them is open, and is completed to what resolves to itself", () => {
  const open = resolveSettings({ flags: TUNED });
  for (const key of ["lr", "maxSteps", "sequenceLength", "batchSize", "evalEvery"] as const) {
    expect(open[key], key).toBeUndefined();
  }
  expect(resolveSettings({ file: { path: "a", values: open } })).toEqual(open);
  expect(() => completeSettings(open)).toThrow(/follows from the model or the data/);
  const settings = tuned();
  expect(resolveSettings({ file: { path: "config.resolved.json", values: settings, isResolved: true } })).toEqual(
    settings,
  );
});

test("the rate falls with the width of the model, and full training takes a tenth", () => {
  expect(tuned({}, { hiddenSize: 2048 }).lr).toBe(2.9e-4);
  expect(tuned({}, { hiddenSize: 64 }).lr).toBe(9.4e-3);
  expect(tuned({ method: "full" }).lr).toBe(1e-4);
});

test("rows are as long as the longest sample, at most what the model takes, and sensible for text", () => {
  expect(tuned({}, { longestRow: 5000 }).sequenceLength).toBe(2048);
  expect(tuned({}, { longestRow: 3 }).sequenceLength).toBe(16);
  expect(tuned({}, { longestRow: undefined, textTokens: 1e6 }).sequenceLength).toBe(512);
  expect(tuned({}, { longestRow: undefined, textTokens: 4000 }).sequenceLength).toBe(64);
});

test("few samples: ten are held out, or a tenth; many: a fiftieth", () => {
  expect(tuned({}, { records: 59 }).validationFraction).toBe(0.1);
  expect(tuned({}, { records: 10_000 }).validationFraction).toBe(0.02);
});

test("about ten evaluations, however long the run, and fewer where they would take much of its time", () => {
  const evaluations = (facts: object, flags: object = {}): number => {
    const { maxSteps, evalEvery } = tuned({ ...flags }, facts);
    return Math.ceil(maxSteps / evalEvery!);
  };
  for (const rowsPerEpoch of [300, 3000, 100_000]) expect(evaluations({ rowsPerEpoch })).toBe(10);
  expect(evaluations({ rowsPerEpoch: 300, evaluationRows: 60 })).toBeLessThanOrEqual(3);
  expect(evaluations({ rowsPerEpoch: 16, evaluationRows: 16 })).toBe(1);
  expect(tuned({ evalEvery: "none" })).toMatchObject({ evalEvery: null, evalMilestones: false });
});

test("ReLoRA and quantized bases of a fine-tune get cycles that fit its length", () => {
  const { method, quantize, reloraEvery, cycleLength, warmStartSteps, schedule, lr } = tuned({
    method: "relora",
    quantize: "nf4",
    restart: "fixed",
  });
  expect({ method, quantize, reloraEvery, cycleLength, warmStartSteps, schedule, lr }).toEqual({
    ...{ method: "relora", quantize: "nf4", reloraEvery: 28, cycleLength: 28, warmStartSteps: 0 },
    ...{ schedule: "cosine_restarts", lr: 1e-3 },
  });
});

test("adapters of a fine-tune restart when they are full, unless something says that a cycle is meant", () => {
  expect(tuned({ method: "relora" })).toMatchObject({ restart: "when-full", schedule: "cosine" });
  for (const cycle of [{ reloraEvery: 10 }, { relora_steps: 10 }, { schedule: "cosine_restarts" }]) {
    expect(tuned({ method: "relora", ...cycle })).toMatchObject({ restart: "fixed", schedule: "cosine_restarts" });
  }
  expect(tuned({ method: "relora", schedule: "linear" })).toMatchObject({ restart: "when-full", schedule: "linear" });
  expect(tuned({ method: "lora" }).restart).toBe("fixed");
  expect(resolveSettings({ flags: { maxSteps: 400 } }).restart).toBe("fixed");
});

test("memory that is short takes fewer rows at a time, and the step stays", () => {
  expect(tuned({}, { fittingRows: 5 })).toMatchObject({ batchSize: 4, totalBatchSize: 8 });
  expect(tuned({ totalBatchSize: 6 }, { fittingRows: 1 })).toMatchObject({ batchSize: 1, totalBatchSize: 6 });
});

test("epochs and steps are one decision: of two sources the stronger says it, one source says one of them", () => {
  expect(tuned({ epochs: 1.5 })).toMatchObject({ epochs: 1.5, maxSteps: 55 });
  expect(tuned({ maxSteps: 20 })).toMatchObject({ epochs: null, maxSteps: 20 });
  expect(faultOf({ ...TUNED, epochs: 2, maxSteps: 20 })).toBe(
    "--epochs: says how long the run is, as --max-steps does; give one of them",
  );
  const file = { path: "a.yaml", values: { ...TUNED, epochs: 2 } };
  expect(completeSettings(resolveSettings({ file, flags: { iters: 7 } }), FACTS)).toMatchObject({
    epochs: null,
    maxSteps: 7,
  });
  const open =
    "leaves the length of the run to --max-steps or --max-train-tokens, and neither is given; give one of the three";
  expect(faultOf({ ...TUNED, epochs: "none" })).toBe(`--epochs none: ${open}`);
  expect(faultOf({ ...TUNED, epochs: "none", maxSteps: "many" })).toMatch(/^--max-steps: must be [^\n]*$/);
  expect(tuned({ epochs: "none", maxSteps: 20 })).toMatchObject({ epochs: null, maxSteps: 20 });
  // From scratch too, where the data say how many steps that are.
  const scratch = resolveSettings({ flags: { model: "tiny", epochs: 2 } });
  expect(scratch.maxSteps).toBeUndefined();
  expect(completeSettings(scratch, { rowsPerEpoch: 80 })).toMatchObject({ maxSteps: 20, warmStartSteps: 5 });
});

test("a model that has learned needs data, and the error shows the ways to give them", () => {
  const fault = faultOf({ model: "org/model" });
  expect(fault).toMatch(/^--data: is missing/);
  for (const way of ["chats.jsonl", '"messages"', "pairs.jsonl", '"prompt"', "notes.txt"]) expect(fault).toContain(way);
  expect(faultOf({ model: "tiny" })).toContain("builtin:wordnet");
});

test.each([
  ["TRL", { num_train_epochs: 2, per_device_train_batch_size: 2, gradient_accumulation_steps: 4, max_length: 512 }],
  [
    "Unsloth",
    { num_train_epochs: 2, per_device_train_batch_size: 2, gradient_accumulation_steps: 4, max_seq_length: 512 },
  ],
  ["axolotl", { num_epochs: 2, micro_batch_size: 2, gradient_accumulation_steps: 4, sequence_len: 512 }],
  [
    "LLaMA-Factory",
    { num_train_epochs: 2, per_device_train_batch_size: 2, gradient_accumulation_steps: 4, cutoff_len: 512 },
  ],
  ["own names", { epochs: 2, batch_size: 2, total_batch_size: 8, sequence_length: 512 }],
])("names of %s that mean the same are taken", (_, flags) => {
  const wanted = { epochs: 2, batchSize: 2, totalBatchSize: 8, sequenceLength: 512, maxSteps: 73 };
  expect(tuned(flags)).toMatchObject(wanted);
});

test.each(["lr_scheduler_type", "lr_scheduler", "lrSchedulerType"])(
  "%s: cosine falls to 0 and constant has no warm-up, as in transformers",
  (name) => {
    expect(tuned({ [name]: "cosine" })).toMatchObject({ schedule: "cosine", minLrRatio: 0 });
    expect(tuned({ [name]: "cosine", min_lr_ratio: 0.2 })).toMatchObject({ schedule: "cosine", minLrRatio: 0.2 });
    expect(tuned({ [name]: "constant" })).toMatchObject({ schedule: "constant", warmupSteps: 0 });
    expect(tuned({ [name]: "constant", warmup_steps: 3 })).toMatchObject({ schedule: "constant", warmupSteps: 3 });
    expect(tuned({ [name]: "constant_with_warmup" }).warmupSteps).toBe(tuned({ schedule: "constant" }).warmupSteps);
    expect(tuned({ schedule: "cosine" }).minLrRatio).toBe(0.1);
    expect(() => tuned({ [name]: "cosine_with_restarts" })).toThrow("falls to 0 once in transformers");
    expect(tuned({ schedule: "cosine_with_restarts" }).schedule).toBe("cosine_restarts");
  },
);

test("a config of axolotl hears what to write instead of its data, and what to leave out", () => {
  const file = loadConfigFile(
    "base_model: org/model\nmodel_type: LlamaForCausalLM\ndatasets:\n  - path: org/chats\n    type: alpaca\n" +
      "test_datasets: []\nwandb_name:\npad_to_sequence_len: true\nflash_attention: true\n",
    "axolotl.yml",
  );
  const said = (name: string, advice: RegExp) =>
    expect(() => resolveSettings({ file })).toThrow(new RegExp(`"${name}"; ${advice.source}$`, "m"));
  said(
    "datasets",
    /set data to the path or name of one; its form is found, and columns says what its names do not say/,
  );
  said("test_datasets", /set validData to the path or name of one/);
  // What is to be written into the file has the names of its keys on the command line too.
  expect(faultOf({}, file)).toContain("set validData to");
  for (const name of ["model_type", "wandb_name", "pad_to_sequence_len", "flash_attention"])
    said(name, /.*leave it out/);
});

test("sample_packing of axolotl keeps samples apart", () => {
  expect(tuned({ sample_packing: true }).packing).toBe("separate");
  expect(tuned({ sample_packing: false }).packing).toBe("auto");
  expect(() => tuned({ sample_packing: false, packing: "separate" })).toThrow("rules out packing separate");
});

test("a fine-tune without data is asked for them, whatever else is given", () => {
  for (const flags of [{ sequenceLength: 32 }, { packing: "joined" }, { maxTrainTokens: 1000, sequenceLength: 32 }]) {
    expect(faultOf({ model: "org/model", ...flags })).toMatch(/^--data: is missing/);
  }
});

test("iters of mlx-lm, which counts batches, is refused beside an accumulation of them", () => {
  expect(tuned({ iters: 30, grad_accumulation_steps: 1, batch_size: 2 })).toMatchObject({ maxSteps: 30 });
  const accumulated = { iters: 30, grad_accumulation_steps: 4, batch_size: 2 };
  expect(() => tuned(accumulated)).toThrow("iters: counts batches in mlx-lm");
});

test("names and values of adapters, rates and quantizing that mean the same are taken", () => {
  expect(
    tuned({ lora_r: 8, lora_alpha: 64, lora_dropout: 0.1, learning_rate: 1e-4, lr_scheduler_type: "cosine" }),
  ).toMatchObject({ rank: 8, alpha: 64, dropout: 0.1, lr: 1e-4, schedule: "cosine" });
  expect(tuned({ method: "qlora" })).toMatchObject({ method: "lora", quantize: "nf4" });
  expect(tuned({ load_in_4bit: true })).toMatchObject({ method: "lora", quantize: "nf4" });
  expect(tuned({ fine_tune_type: "dora", iters: 30, steps_per_eval: 5 })).toMatchObject({
    ...{ method: "lora", adapterKind: "dora", maxSteps: 30, evalEvery: 5 },
  });
  const { maxSteps } = tuned();
  for (const [share, steps] of [
    [0, 0],
    [0.05, 6],
    [0.99, maxSteps - 1],
    [1, maxSteps],
    ["1.0", maxSteps],
  ] as const) {
    expect(tuned({ warmup_ratio: share }).warmupSteps).toBe(steps);
  }
  expect([tuned({ warmupSteps: 1 }), tuned({ warmupSteps: 0.05 })].map(({ warmupSteps }) => warmupSteps)).toEqual([
    1, 6,
  ]);
  expect(faultOf({ ...TUNED, warmup_ratio: 2 })).toBe(
    "--warmup-ratio: must be a number of at least 0 and at most 1, got 2; give a number of steps as --warmup-steps",
  );
  expect(faultOf({ ...TUNED, method: "qlora", quantize: "int8" })).toMatch(/^--quantize: is set by --method too/);
});

test.each([
  [{ bf16: true }, /^unknown flag --bf16; training computes in float32/],
  [{ num_layers: 8 }, /--num-layers; .* --layers-to-transform/],
  [{ eval_strategy: "epoch" }, /--eval-strategy; set --eval-every/],
  [{ lora_modules_to_save: "lm_head" }, /; set --train-modules to embeddings, norms, head/],
  [{ mask_prompt: true }, /--train-on-inputs/],
  [{ gradient_accumulation_steps: 4 }, /multiplies --batch-size; give that beside it, or --total-batch-size/],
])("%j, which means something else here, is answered with the name that does it", (flags, answer) => {
  expect(faultOf({ ...TUNED, ...flags })).toMatch(answer);
});

/** A value of each setting that is not its default, and goes with the others. */
const VALUES: Readonly<Partial<Record<SettingKey, unknown>>> = {
  ...{ model: "org/model", data: "chats.jsonl", method: "relora", quantize: "nf4", optimizerReset: "magnitude" },
  ...{
    epochs: 2,
    batchSize: 2,
    totalBatchSize: 4,
    schedule: "cosine_restarts",
    adapterKind: "core",
    mergePolicy: "requantize",
  },
  ...{ sequenceLength: 128, chatDate: "2026-03-31", patience: 3, quantBlockSize: 128, layersToTransform: ["0", "1"] },
  ...{ rankPattern: ["q_proj=4"], alphaPattern: ["q_proj=8"], trainModules: ["norms"], bias: "all", preset: "none" },
  ...{
    restart: "fixed",
    restartShare: 1,
    warmStartSteps: 0,
    reloraEvery: 4,
    cycleLength: 8,
    restartWarmupSteps: 2,
    warmupSteps: 2,
  },
  ...{
    evalEvery: 7,
    saveEvery: 9,
    evalMilestones: false,
    adapterFrom: null,
    divergenceFactor: 3,
    validationFraction: 0.2,
  },
  ...{ device: "cpu", vocabSize: 300, pruneRatio: 0.5, minLrRatio: 0.2, dropout: 0.1, maxTrainTokens: null },
};

function exampleOf(key: SettingKey): unknown {
  if (key in VALUES) return VALUES[key];
  const setting = settingOf(key);
  if (setting.type === "boolean") return setting.default !== true;
  if (setting.type === "choice") return choicesOf(setting)!.find((choice) => choice !== setting.default);
  if (setting.type === "list") return choicesOf(setting)?.slice(0, 1) ?? ["q_proj"];
  if (setting.type === "string") return "text";
  const half = Number(setting.default ?? 4) / 2 || 1;
  return setting.type === "integer" ? Math.ceil(half) : half;
}

test("the same settings by flags, by YAML and from a program resolve to the same, all of them", () => {
  const typed = Object.fromEntries(
    SETTING_KEYS.filter((key) => key !== "maxSteps").map((key) => [key, exampleOf(key)] as const),
  );
  const flags = Object.fromEntries(
    Object.entries(typed).map(([key, value]) => {
      const text = value === null ? "none" : Array.isArray(value) ? value.join(",") : String(value);
      return [flagOf(key).slice(2), typeof value === "boolean" ? value : text];
    }),
  );
  const yaml = Object.entries(typed).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  const facts = { ...FACTS, longestRow: 128 };
  const resolved = [
    resolveSettings({ flags: typed }),
    resolveSettings({ flags }),
    resolveSettings({ file: loadConfigFile(yaml.join("\n"), "run.yaml") }),
  ].map((settings) => completeSettings(settings, facts));
  expect(resolved[1]).toEqual(resolved[0]);
  expect(resolved[2]).toEqual(resolved[0]);
  for (const [key, value] of Object.entries(typed)) expect(resolved[0], key).toMatchObject({ [key]: value });
  const named = new Set(flagDefinitions().map(({ key }) => key));
  expect([...named].sort()).toEqual([...SETTING_KEYS].sort());
});
