import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolveSettings } from "../../src/config/resolve.js";
import { train } from "../../src/training/train.js";
import { exportTarget } from "../../src/verbs/export.js";
import { quantizeModel } from "../../src/verbs/quantize.js";
import { TEXT, writeSmallModel } from "../small-model.js";
import { ask, describePeers } from "./peer.js";

interface CardRead {
  readonly data: Readonly<Record<string, unknown>>;
  readonly again: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly evaluated: number;
}

let root = "";
const at = (name: string): string => path.join(root, name);
const CARD =
  "---\nlicense: other\nlicense_name: example\nlicense_link: https://example.com/licence\nlanguage: en\n---\n# Base\n";
const LICENCE = { license: "other", license_name: "example", license_link: "https://example.com/licence" };

describePeers("model cards", () => {
  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), "highrank-cards-"));
    await writeFile(at("a.txt"), TEXT);
    await writeSmallModel(at("start"));
    await writeFile(at("start/README.md"), CARD);
    const flags = {
      model: at("start"),
      data: at("a.txt"),
      method: "lora",
      rank: 2,
      batchSize: 2,
      maxSteps: 2,
    } as const;
    const rest = { sequenceLength: 16, sampleTokens: 0, threads: 1, out: at("run") } as const;
    await train(resolveSettings({ flags: { ...flags, ...rest } }));
    await exportTarget(at("run"), { base: null, to: "peft", out: at("peft"), dtype: null });
    await exportTarget(at("run"), { base: null, to: "hf", out: at("hf"), dtype: null });
    await exportTarget(at("run"), { base: null, to: "onnx", out: at("onnx"), dtype: null });
    const quantizer = { format: "int8", blockSize: 64, doubleQuant: false } as const;
    await quantizeModel(at("start"), { out: at("int8"), quantizer });
  }, 120_000);
  afterAll(() => rm(root, { recursive: true }));

  test.each([
    ["run/model", { library_name: "transformers", tags: ["highrank", "lora"] }],
    ["run/adapter", { library_name: "peft", tags: ["highrank", "lora"] }],
    ["peft", { library_name: "peft", tags: ["highrank", "lora"] }],
    ["hf", { library_name: "transformers", tags: ["highrank", "lora"] }],
    ["onnx", { library_name: "transformers.js", tags: ["highrank", "lora"] }],
    ["int8", { library_name: "transformers", tags: ["highrank", "bitsandbytes"], language: ["en"] }],
  ])("huggingface_hub reads the card of %s", async (folder, fields) => {
    const { data, again, text, evaluated } = await ask<CardRead>("model_cards", "read", { folder: at(folder) });
    expect(data).toEqual({ ...LICENCE, pipeline_tag: "text-generation", ...fields });
    expect(again).toEqual(data);
    expect(evaluated).toBe(0);
    expect(text).not.toContain(root);
  });

  test.each([
    ["run/model", null],
    ["hf", null],
    ["run/adapter", "run/base"],
    ["peft", "start"],
  ])("the Python in the card of %s runs there", async (folder, base) => {
    const given = base === null ? {} : { base: at(base) };
    const printed = await ask<string>("model_cards", "run", { folder: at(folder), ...given });
    expect(printed).toContain("Once upon a time");
  });
});
