import { describe, expect, expectTypeOf, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { loadConfigFile } from "./config-file.js";
import type { OpenSettings } from "./derive.js";
import { flagDefinitions } from "./flags.js";
import { defaultIn } from "./jobs.js";
import { findSetting, SETTING_KEYS, settingOf } from "./names.js";
import { parseValue } from "./parse-value.js";
import { MODEL_PRESETS, RECIPES } from "./presets.js";
import { resolveSettings, type SettingSources } from "./resolve.js";
import { choicesOf, settingsJsonSchema } from "./schema.js";
import type { SettingKey, Settings } from "./settings.js";

function faultsOf(sources: SettingSources): string[] {
  try {
    resolveSettings(sources);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split("\n");
  }
  return [];
}

describe("declarations", () => {
  test("every default satisfies its own check, and every setting has a default or a rule", () => {
    for (const key of SETTING_KEYS) {
      const setting = settingOf(key);
      expect((setting.default === undefined) === (setting.derived !== undefined), key).toBe(true);
      for (const job of ["from scratch", "fine-tune"] as const) {
        const found = defaultIn(job, setting);
        if (!("value" in found)) continue;
        expect(parseValue(setting, found.value), key).toHaveProperty("value");
        if (found.value === null) expect(setting.none, key).toBeDefined();
      }
    }
  });

  test("names and aliases are unambiguous and become distinct flags", () => {
    for (const key of SETTING_KEYS) {
      const { aliases = [], switches = {}, factors = {}, spellings = {} } = settingOf(key);
      for (const [name, times] of Object.entries(factors)) expect(findSetting(name), name).toEqual({ key, times });
      for (const [other, value] of Object.values(spellings).flatMap(Object.entries)) {
        expect(parseValue(settingOf(other as SettingKey), value), other).toEqual({ value });
      }
      for (const name of [key, ...aliases]) expect(findSetting(name), name).toEqual({ key });
      for (const [name, choice] of Object.entries(switches)) {
        expect(findSetting(name), name).toEqual({ key, choice });
        expect(choicesOf(settingOf(key))).toContain(choice);
      }
    }
    const flags = flagDefinitions().map((definition) => definition.flags.split(" ")[0]);
    expect(new Set(flags).size).toBe(flags.length);
  });

  test("types follow from the declarations", () => {
    expectTypeOf<Settings["rank"]>().toEqualTypeOf<number>();
    expectTypeOf<Settings["alpha"]>().toEqualTypeOf<number>();
    expectTypeOf<Settings["threads"]>().toEqualTypeOf<number | null>();
    expectTypeOf<Settings["method"]>().toEqualTypeOf<"full" | "lora" | "relora">();
    expectTypeOf<Settings["trainModules"]>().toEqualTypeOf<readonly ("embeddings" | "norms" | "head")[]>();
    expectTypeOf<Settings["targetModules"]>().toEqualTypeOf<readonly string[]>();
    expectTypeOf<Settings["rslora"]>().toEqualTypeOf<boolean>();
  });

  test("flags carry their placeholder, their default and both forms of a boolean", () => {
    const byFlag = new Map(flagDefinitions().map((definition) => [definition.flags, definition]));
    expect(byFlag.get("--method <full|lora|relora>")?.fallback).toBe("lora; from scratch relora");
    expect(byFlag.get("--alpha <number>")?.fallback).toBe(
      "twice the rank; from scratch the rank, so that the scaling is 1",
    );
    expect(byFlag.get("--rslora")?.hidden).toBe(false);
    expect(byFlag.get("--no-rslora")?.hidden).toBe(true);
    expect(byFlag.get("--adapter-kind <lora|dora|core>")).toMatchObject({ fallback: "lora", hidden: false });
    for (const flag of ["--core", "--no-core", "--use-dora"]) {
      expect(byFlag.get(flag)).toMatchObject({ key: "adapterKind", hidden: true });
    }
    expect(byFlag.get("--learning-rate <number>")).toMatchObject({ key: "lr", hidden: true });
  });

  test("the JSON Schema knows ranges, choices, defaults and refuses unknown keys", () => {
    const schema = settingsJsonSchema();
    expect(schema).toMatchObject({
      type: "object",
      additionalProperties: false,
      properties: {
        rank: { type: "integer", minimum: 1, default: 32 },
        dropout: { type: "number", minimum: 0, exclusiveMaximum: 1 },
        method: { enum: ["full", "lora", "relora"], default: "relora" },
        threads: { anyOf: [{ type: "integer", minimum: 1, maximum: 256 }, { type: "null" }], default: null },
      },
    });
    expect(schema).not.toHaveProperty("required");
  });
});

describe("resolving", () => {
  test("with a model alone all defaults hold and the derived values follow", () => {
    const settings = resolveSettings({ flags: { model: "small" } });
    expect(settings).toMatchObject({ method: "relora", rank: 32, alpha: 32, totalBatchSize: 8 });
    expect(settings).toMatchObject({ warmStartSteps: 2500, reloraEvery: 1875, cycleLength: 1875, warmupSteps: 100 });
    expect(settings.restartWarmupSteps).toBe(50);
    expect(settings).toMatchObject({ schedule: "cosine_restarts", adapterLr: 1e-3, threads: null, maxSteps: 10_000 });
    expect(settings.trainModules).toEqual(["embeddings", "norms", "head"]);
    expect(Object.keys(settings).sort()).toEqual([...SETTING_KEYS].sort());
  });

  test("flags beat the file, the file beats the preset, the preset beats the defaults", () => {
    const file = loadConfigFile("preset: quickstart\nrank: 4\nbatchSize: 2\n", "run.yml");
    const settings = resolveSettings({ flags: { rank: "16" }, file });
    expect(settings).toMatchObject({ rank: 16, alpha: 16, batchSize: 2, totalBatchSize: 2, model: "nano" });
    const llama = { model: "path/to/llama", data: "a.jsonl" };
    for (const [flags, ranks] of [
      [{ method: "full" }, 32],
      [{ model: "tiny", preset: "quickstart" }, 32],
      [{ ...llama, preset: "quickstart" }, 32],
    ] as const) {
      const { quantize, mergePolicy, rank } = resolveSettings({ flags });
      expect([quantize, mergePolicy, rank]).toEqual(["none", "delta-log", ranks]);
    }
    const rates = (flags: Partial<Settings>) => {
      const { lr, adapterLr, beta2 } = resolveSettings({ flags: { preset: "quickstart", ...flags } });
      return [lr, adapterLr, beta2];
    };
    expect(rates({})).toEqual([2e-3, 4e-3, 0.99]);
    expect(rates({ model: "tiny" })).toEqual([2e-3, 4e-3, 0.99]);
    expect(rates({ lr: 1e-3 })).toEqual([1e-3, 1e-3, 0.99]);
    expect(rates({ lr: 1e-3, adapterLr: 3e-3 })).toEqual([1e-3, 3e-3, 0.99]);
    // What suits random weights would undo what a model has learned.
    expect(rates(llama)).toEqual([undefined, undefined, 0.999]);
    expect(resolveSettings({ file, defaults: { rank: 3 } }).rank).toBe(4);
    expect(resolveSettings({ flags: { model: "tiny", rank: undefined }, defaults: { rank: 3 } }).rank).toBe(3);
  });

  test.each<[SettingSources, Partial<Settings>]>([
    [{}, { ...RECIPES.quickstart, preset: "quickstart" }],
    [{ flags: { data: "my.txt" } }, { preset: "quickstart", model: "nano", data: "my.txt", lr: 2e-3, maxSteps: 720 }],
    [{ flags: { preset: "none" } }, { model: "small", lr: 1e-3, maxSteps: 10_000 }],
    [{ file: { path: "a.yaml", values: {} } }, { preset: "none", model: "small", sequenceLength: 256 }],
    ...["model", "base_model", "model_name_or_path"].map((name): [SettingSources, Partial<Settings>] => [
      { flags: { [name]: "nano" } },
      { preset: "none", model: "nano", lr: 1e-3, adapterLr: 1e-3, maxSteps: 10_000, quantize: "none", beta2: 0.999 },
    ]),
    [{ flags: { model: "org/name", data: "a.jsonl" } }, { preset: "none", rank: 16 }],
    [{ flags: { model: "tiny", preset: "quickstart" } }, { model: "tiny", lr: 2e-3, maxSteps: 720 }],
  ])("the quickstart stands in where neither a file nor a model is named: %j", (sources, expected) => {
    expect(resolveSettings(sources)).toMatchObject(expected);
  });

  test("changes beat the file, under any name of a setting and in either unit of length", () => {
    const file = { path: "a", values: { rank: 8, learning_rate: 0.1, maxSteps: 50 } };
    const changes = { path: "a: arms.x", values: { lr: 0.2, maxTrainTokens: 20_480, rank: 0 } };
    expect(() => resolveSettings({ file, changes })).toThrow(
      new ConfigError("a: arms.x: rank: must be an integer of at least 1, got 0"),
    );
    const { rank: _, ...sound } = changes.values;
    const settings = resolveSettings({ file, changes: { ...changes, values: sound } });
    expect(settings).toMatchObject({ rank: 8, lr: 0.2, maxSteps: 10 });
    expect(resolveSettings({ file, changes: { path: "b", values: {} } })).toEqual(resolveSettings({ file }));
  });

  test("values are text or typed, names take every case style and the aliases", () => {
    const flags = {
      lora_r: "8",
      "total-batch-size": "64",
      max_train_tokens: "10M",
      learningRate: "3e-4",
      targetModules: "q_proj, v_proj",
      rslora: true,
      clipGradNorm: "none",
      trainModules: "none",
      dropout: ".05",
      sequence_len: "1_024",
    };
    expect(resolveSettings({ flags })).toMatchObject({
      rank: 8,
      totalBatchSize: 64,
      maxTrainTokens: 10_000_000,
      maxSteps: 152, // 10,000,000 / (64 · 1024) = 152.6; the default of 10,000 steps gives way
      lr: 3e-4,
      adapterLr: 3e-4,
      targetModules: ["q_proj", "v_proj"],
      rslora: true,
      clipGradNorm: null,
      trainModules: [],
      dropout: 0.05,
      sequenceLength: 1024,
    });
  });

  test("faults of values that do not fit together name settings as flags gave them", () => {
    const flags = { model: "tiny", perDeviceTrainBatchSize: "3", "total-batch-size": "4", relora_steps: 20_000 };
    expect(faultsOf({ flags })).toEqual([
      "totalBatchSize: must be a multiple of perDeviceTrainBatchSize (3), got 4; 6 is the next",
      expect.stringMatching(/^relora_steps: must be at most the 7500 steps with adapters/),
    ]);
  });

  test("resolved settings resolve to themselves", () => {
    for (const sources of [{}, { flags: { model: "small" } }, { flags: { maxTrainTokens: "20M" } }] as const) {
      const settings = resolveSettings(sources);
      expect(resolveSettings({ file: { path: "config.resolved.json", values: settings } })).toEqual(settings);
    }
  });

  test("the stronger source decides the length of the run, in steps or in tokens", () => {
    const file = { path: "run.yml", values: { maxTrainTokens: "20M", batchSize: 8, sequenceLength: 256 } };
    expect(resolveSettings({ file })).toMatchObject({ maxSteps: 9765, maxTrainTokens: 20_000_000 });
    expect(resolveSettings({ file, flags: { maxSteps: 9000 } })).toMatchObject({
      maxSteps: 9000,
      maxTrainTokens: null,
    });
    const steps = { path: "run.yml", values: { maxSteps: 5000 } };
    expect(resolveSettings({ file: steps, flags: { maxTrainTokens: "20M" } })).toMatchObject({ maxSteps: 9765 });
    const both = { model: "small", maxSteps: 5000, maxTrainTokens: "20M" };
    expect(resolveSettings({ flags: both })).toMatchObject({ maxSteps: 5000 });
    expect(resolveSettings({ flags: { ...both, maxSteps: 50_000 } })).toMatchObject({ maxSteps: 9765 });
  });

  test("adapters freeze the rest of a model that has learned, but not of one that starts at random", () => {
    const data = "a.jsonl";
    expect(resolveSettings({ flags: { method: "lora", model: "./llama", data } }).trainModules).toEqual([]);
    expect(resolveSettings({ flags: { method: "relora", model: "./llama", data } }).trainModules).toEqual([]);
    expect(resolveSettings({ flags: { method: "lora", model: "9m" } }).trainModules).toHaveLength(3);
  });

  test("what is no source is refused", () => {
    expect(() => resolveSettings({ model: "tiny" } as never)).toThrow("settings belong into one of them, as");
    expect(() => resolveSettings(null as never)).toThrow("resolveSettings: sources must be an object, got null");
  });

  test("a short run gets short phases, so that its length alone can be set", () => {
    const lengths = ({ warmStartSteps, warmupSteps, reloraEvery, restartWarmupSteps }: OpenSettings) => [
      warmStartSteps,
      warmupSteps,
      reloraEvery,
      restartWarmupSteps,
    ];
    expect(lengths(resolveSettings({ flags: { maxSteps: 400 } }))).toEqual([100, 10, 75, 7]);
    expect(lengths(resolveSettings({ flags: { maxSteps: 1 } }))).toEqual([0, 0, 1, 0]);
    const tuned = { maxSteps: 400, model: "./llama", data: "a.txt", sequenceLength: 64, method: "relora" };
    expect(lengths(resolveSettings({ flags: tuned }))).toEqual([0, 40, 100, 10]);
    expect(lengths(resolveSettings({ flags: { ...tuned, restart: "fixed" } }))).toEqual([0, 10, 100, 10]);
    expect(lengths(resolveSettings({ flags: { maxSteps: 400, method: "full" } }))).toEqual([0, 40, 100, 10]);
    for (let maxSteps = 1; maxSteps < 60; maxSteps++) {
      for (const method of ["full", "lora", "relora"]) resolveSettings({ flags: { maxSteps, method } });
    }
  });

  test("the kind of adapter is a choice, and was a boolean for each kind but one", () => {
    const kindOf = (...layers: Record<string, unknown>[]) => {
      const [flags = {}, changes = {}, file = {}] = layers;
      return resolveSettings({
        flags: { method: "lora", ...flags },
        changes: { path: "arm", values: changes },
        file: { path: "run.yml", values: file },
      }).adapterKind;
    };
    expect(kindOf()).toBe("lora");
    expect(kindOf({ adapterKind: "core" })).toBe("core");
    expect(kindOf({ core: true })).toBe("core");
    expect(kindOf({ "use-dora": "true" })).toBe("dora");
    expect(kindOf({}, {}, { peft_use_dora: true })).toBe("dora");
    expect(kindOf({}, {}, { dora: false, core: false })).toBe("lora");
    expect(kindOf({}, {}, { dora: false, core: true })).toBe("core");
    // A stronger source chooses another, or rules out what a weaker one chose and nothing else.
    expect(kindOf({ core: true }, {}, { dora: true })).toBe("core");
    expect(kindOf({}, { adapterKind: "lora" }, { dora: true })).toBe("lora");
    expect(kindOf({ dora: false }, { dora: true })).toBe("lora");
    expect(kindOf({ dora: "false" }, { core: true }, { dora: true })).toBe("core");
    expect(resolveSettings({ flags: { core: false }, defaults: { adapterKind: "core" } }).adapterKind).toBe("lora");
  });

  test("every recipe resolves, and its values pass their checks", () => {
    for (const [name, recipe] of Object.entries(RECIPES)) {
      expect(resolveSettings({ file: { path: name, values: recipe } })).toMatchObject(recipe);
      expect(Object.keys(MODEL_PRESETS)).toContain(recipe.model);
    }
  });
});

describe("faults", () => {
  test("all are reported at once, one a line, each with its source", () => {
    const file = loadConfigFile("rnak: 8\ndropout: 1\nmethod: pissa\n", "run.yml");
    expect(faultsOf({ file, flags: { seed: "x", bathSize: "4", totalBatchSize: "12" } })).toEqual([
      'seed: must be an integer of at least 0 and at most 4294967295, got "x"',
      "unknown setting bathSize; did you mean batchSize?",
      'run.yml: unknown setting "rnak"; did you mean "rank"?',
      "run.yml: dropout: must be a number of at least 0 and below 1, got 1",
      'run.yml: method: must be one of full, lora, relora, got "pissa"',
      "totalBatchSize: must be a multiple of batchSize (8), got 12; 16 is the next",
    ]);
  });

  test("a name given twice under two spellings is a fault", () => {
    for (const flags of [
      { rank: 4, loraR: 8 },
      { loraR: 8, rank: 4 },
    ]) {
      expect(faultsOf({ flags })).toEqual(["loraR: is another name of rank; give one of them"]);
      const said = expect.objectContaining({ commandLineMessage: expect.stringMatching(/^--lora-r: .* --rank; give/) });
      expect(() => resolveSettings({ flags })).toThrow(said);
    }
  });

  test.each(["_10", "10_", "1__0", "1_k", "1_e1", "1e_1"])(
    "%s is no number: underscores stand between digits",
    (rank) => {
      expect(faultsOf({ flags: { rank } })).toEqual([`rank: must be an integer of at least 1, got "${rank}"`]);
      expect(resolveSettings({ flags: { maxSteps: "1_0_0" } }).maxSteps).toBe(100);
    },
  );

  test("numbers in a list, or one in its place, are names as in text", () => {
    for (const layers_to_transform of [[0, 11], ["0", 11], "0,11"]) {
      const file = { path: "run.yml", values: { layers_to_transform } };
      expect(resolveSettings({ file }).layersToTransform).toEqual(["0", "11"]);
    }
    expect(resolveSettings({ flags: { layersToTransform: 3 } }).layersToTransform).toEqual(["3"]);
    expect(faultsOf({ flags: { layersToTransform: [0.5] } })[0]).toContain(
      "must be numbers of layers, from 0, got 0.5",
    );
  });

  test("a mapping in the place of a list of pairs is that list", () => {
    const values = { rank_pattern: { q_proj: 8, "mlp.up_proj": "4" }, columns: { prompt: "question" } };
    expect(resolveSettings({ file: { path: "run.yml", values } })).toMatchObject({
      rankPattern: ["q_proj=8", "mlp.up_proj=4"],
      columns: ["prompt=question"],
    });
    expect(faultsOf({ flags: { rankPattern: { q_proj: [8] } } })).toEqual([
      'rankPattern: must be a list of NAME=RANK, or a mapping, got {"q_proj":[8]}',
    ]);
    expect(faultsOf({ flags: { rankPattern: { q_proj: 0 } } })[0]).toContain("with ranks of at least 1");
    expect(settingsJsonSchema().properties).toMatchObject({
      rankPattern: { anyOf: [{ type: "array" }, { type: "object" }] },
      targetModules: { type: "array" },
    });
  });

  test("two kinds of adapter at once are a fault, also under their former names", () => {
    expect(faultsOf({ flags: { core: true, dora: true } })).toEqual([
      "dora: sets adapterKind, as core does; give one of them",
    ]);
    expect(faultsOf({ flags: { dora: true, adapterKind: "core" } })).toEqual([
      "adapterKind: is set by dora too; give one of them",
    ]);
    expect(faultsOf({ file: { path: "run.yml", values: { adapter_kind: "core", core: false } } })).toEqual([
      "run.yml: core: rules out adapterKind core, which adapter_kind sets; give one of them",
    ]);
    expect(faultsOf({ flags: { core: "yes" } })).toEqual(['core: must be true or false, got "yes"']);
    expect(faultsOf({ flags: { adapterKind: "loha" } })).toEqual([
      expect.stringMatching(/^adapterKind: must be one of lora, dora, core, got "loha"; .*registerAdapter/),
    ]);
  });

  test.each([
    [{ rank: 0 }, "rank: must be an integer of at least 1, got 0"],
    [{ rank: 2.5 }, "rank: must be an integer of at least 1, got 2.5"],
    [{ rank: "" }, 'rank: must be an integer of at least 1, got ""'],
    [{ rank: "e" }, 'rank: must be an integer of at least 1, got "e"'],
    [{ lr: 0 }, "lr: must be a number above 0, got 0"],
    [{ lr: "1e400" }, 'lr: must be a number above 0, got "1e400"'],
    [{ threads: 0 }, "threads: must be an integer of at least 1 and at most 256, or none, got 0"],
    [{ relora: true }, "relora: must be an integer of at least 1, got true"],
    [{ trainModules: "heads" }, 'trainModules: must be a list out of embeddings, norms, head, got "heads"'],
    [{ rank: "none" }, 'rank: must be an integer of at least 1, got "none"'],
    [{ gradientAccumulationSteps: 4 }, /^gradientAccumulationSteps: multiplies batchSize; give that beside it/],
    [{ colour: 1 }, /^unknown setting colour$/],
    [{ quantize: "nf4", method: "full" }, "quantize: nf4 is for weights that stay frozen; method full trains them"],
    [{ doubleQuant: true }, "doubleQuant: is for nf4 and fp4, whose scales it quantizes, not for quantize none"],
    [{ doubleQuant: true, quantize: "int8" }, "whose scales it quantizes, not for quantize int8"],
    [{ quantBlockSize: 100 }, "quantBlockSize: must be a power of two from 16 to 4096, got 100; 128 is the nearest"],
    [{ targetModules: "" }, /^targetModules: must name at least one layer for method relora/],
    [{ warmStartSteps: 10_000 }, /^warmStartSteps: must be below the 10000 steps of the run/],
    [
      { maxSteps: 2500, warmStartSteps: 1000, reloraEvery: 2000 },
      /^reloraEvery: must be at most the 1500 steps with adapters/,
    ],
    [
      { maxSteps: 9e15, reloraEvery: 7, method: "relora" },
      /^reloraEvery: must make at most 1000000 merges, .* got 7, which makes 964285714285715; raise it$/,
    ],
    [{ reloraEvery: 2000, cycleLength: 3000 }, /^cycleLength: must be a multiple of reloraEvery \(2000\).* got 3000$/],
    [
      { cycleLength: 3000 },
      "cycleLength: must be a multiple of reloraEvery (1875, derived from the steps with adapters), so that restarts " +
        "fall on merges, got 3000; give reloraEvery too",
    ],
    [{ reloraEvery: 2000, restartWarmupSteps: 2000 }, "restartWarmupSteps: must be below cycleLength (2000), got 2000"],
    [
      { reloraEvery: 2000, warmStartSteps: 0, warmupSteps: 2001 },
      "warmupSteps: must be at most cycleLength (2000), got 2001",
    ],
    [{ warmupSteps: 600, warmStartSteps: 500 }, "warmupSteps: must be at most warmStartSteps (500), got 600"],
    [{ warmupSteps: 200, maxSteps: 100, method: "full" }, /^warmupSteps: must be at most the steps of the run \(100\)/],
    [
      { maxTrainTokens: 100 },
      "maxTrainTokens: must cover the first step, totalBatchSize (8) rows of up to sequenceLength (256) tokens, got " +
        "100; name more, or fewer rows of a step",
    ],
  ])("%j: one clear fault", (flags, message) => {
    const faults = faultsOf({ flags: { model: "small", ...flags } });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(message);
  });

  test.each([
    [{ reloraEvery: 100, warmStartSteps: 50 }, 110, "150, as reloraEvery (100)"],
    [{ method: "lora", warmStartSteps: 50 }, 50, "51, as warmStartSteps (50)"],
    [{ method: "lora", warmStartSteps: 0, warmupSteps: 20 }, 10, "20, as warmupSteps (20)"],
  ])("a run of %j under way says which length it allows, in place of settings that stay", (values, maxSteps, words) => {
    const settings = resolveSettings({ flags: { model: "small", method: "relora", maxSteps: 400, ...values } });
    const file = { path: "run/config.resolved.json", values: { ...settings }, isResolved: true };
    const fault = `maxSteps: must be at least ${words} stays as the run was started, got ${maxSteps}`;
    expect(faultsOf({ file, flags: { maxSteps } })).toEqual([fault]);
    expect(faultsOf({ file, flags: { maxSteps: Number.parseInt(words, 10) } })).toEqual([]);
  });

  test("a method is not held to the settings of another", () => {
    const restarts = { reloraEvery: 99_999, restartWarmupSteps: 200_000, warmStartSteps: 20_000 };
    expect(faultsOf({ flags: { ...restarts, method: "full" } })).toEqual([]);
    expect(faultsOf({ flags: { ...restarts, warmStartSteps: 0, method: "lora" } })).toEqual([]);
  });
});
