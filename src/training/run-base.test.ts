import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TEXT, writeSmallModel } from "../../tests/small-model.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { hashModelFolder } from "../formats/base-hash.js";
import { openModelFolder, writeModelFolder } from "../formats/model-folder.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { mergeTarget } from "../verbs/merge.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
const at = (...names: string[]): string => path.join(folder, ...names);
const bytes = (...names: string[]): Promise<Buffer> => readFile(at(...names));

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-run-base-"));
  await writeFile(at("a.txt"), TEXT);
  await writeFile(at("chat.jinja"), "{{ messages[0].content }}");
  await writeSmallModel(at("float"), { fileType: "BF16" });
  // As others write it: in shards, their tensors in another order, with files of their own.
  const { config, tensors, tokenizerJson, tokenizerConfig } = await openModelFolder(at("float"));
  const files = new Map([
    ["tokenizer.json", `${tokenizerJson!} `],
    ["tokenizer_config.json", tokenizerConfig!],
    ["generation_config.json", '{"eos_token_id": [0, 7], "temperature": 0.6}'],
    ["special_tokens_map.json", "{}"],
    ["chat_template.jinja", "{{ messages }}"],
  ]);
  const reversed = new Map([...tensors].reverse());
  await writeModelFolder(at("shards"), { config, tensors: reversed, shardBytes: 4000, files });
});
afterAll(() => rm(folder, { recursive: true }));

async function run(name: string, change: Partial<Settings> = {}, untilStep?: number): Promise<void> {
  const flags = {
    ...{ model: at("shards"), data: at("a.txt"), method: "lora", rank: 2, batchSize: 2, sequenceLength: 16 },
    ...{ maxSteps: 3, evalTokens: 100, sampleTokens: 0, threads: 1, lr: 1e-2, out: at(name) },
    ...change,
  };
  await train(resolveSettings({ flags: flags as Partial<Settings> }), untilStep === undefined ? {} : { untilStep });
}

describe("a run that starts from a folder", () => {
  test("keeps its files byte for byte, so that the adapter knows the folder as its base", async () => {
    await run("run");
    const names = await readdir(at("shards"));
    expect(names.filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(3);
    expect(await readdir(at("run/base"))).toEqual([...names, "checksums.json"].sort());
    for (const name of names.filter((name) => name !== "config.json")) {
      expect(await bytes("run/base", name), name).toEqual(await bytes("shards", name));
    }
    expect(await hashModelFolder(at("run/base"))).toBe(await hashModelFolder(at("shards")));
    const data = { data: at("a.txt"), batchSize: 2, sequenceLength: 16, maxTokens: null };
    const options = { ...data, adapter: true, device: "cpu", threads: 1 } as const;
    const [own, theirs] = [
      await evaluateTarget(at("run/adapter"), { ...options, base: null }),
      await evaluateTarget(at("run/adapter"), { ...options, base: at("shards") }),
    ];
    expect(theirs).toEqual(own);
  });

  test("gives its finished model and what is merged of it the files beside the weights", async () => {
    const beside = ["generation_config.json", "special_tokens_map.json", "tokenizer.json", "chat_template.jinja"];
    await mergeTarget(at("run"), { out: at("merged"), base: null, dtype: null, verify: false });
    for (const name of beside) {
      for (const target of ["run/model", "merged"])
        expect(await bytes(target, name)).toEqual(await bytes("shards", name));
    }
    const shards = (await readdir(at("merged"))).filter((name) => name.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(1);
  });

  test("has the template that it is given in place of the model's, also when it goes on", async () => {
    await run("templated", { chatTemplate: at("chat.jinja") }, 2);
    await rm(at("chat.jinja"));
    await resume(at("templated"));
    for (const target of ["templated/base", "templated/model"]) {
      expect(await readdir(at(target))).not.toContain("chat_template.jinja");
      expect(JSON.parse((await bytes(target, "tokenizer_config.json")).toString())).toMatchObject({
        chat_template: "{{ messages[0].content }}",
      });
      expect(await bytes(target, "generation_config.json")).toEqual(await bytes("shards/generation_config.json"));
    }
  });

  test("has the files of the tokenizer that it is given, and none of the model's", async () => {
    await run("other tokenizer", { tokenizer: at("float") });
    const names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];
    expect(await readdir(at("other tokenizer/model"))).toEqual([
      "README.md",
      "checksums.json",
      ...names.slice(0, 2),
      "model.safetensors",
      ...names.slice(2),
    ]);
    expect(JSON.parse((await bytes("other tokenizer/model/generation_config.json")).toString())).toEqual({
      bos_token_id: 0,
      eos_token_id: 0,
    });
  });
});
