import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModelFolder } from "../src/formats/model-folder.js";
import { continueText } from "./onnx-text.js";
import { runCommand } from "./run-command.js";
import { continueInTransformersJs, hasTransformersJs } from "./transformers-js.js";

// The demo of examples/fine-tuning and docs/fine-tuning.md, as it is typed there.

const DEMO = fileURLToPath(new URL("../examples/fine-tuning/", import.meta.url));
const PROMPTS = ["zlib.createGunzip:", "url.parse:", "a small dog (noun):"];
const TOKENS = 24;

let cwd = "";
beforeAll(async () => {
  cwd = await mkdtemp(path.join(tmpdir(), "highrank-demo-"));
});
afterAll(() => rm(cwd, { recursive: true }));

async function highrank(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCommand([...args, "--json"], { cwd });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

async function lossOf(target: string, ...more: string[]): Promise<number> {
  const data = ["--data", "node-docs/valid.jsonl", "--sequence-length", "128"];
  return (await highrank("eval", target, ...data, ...more)).loss as number;
}

async function textsOf(target: string, ...more: string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const prompt of PROMPTS) {
    const greedy = ["--temperature", "0", "--max-new-tokens", String(TOKENS), "--prompt", prompt];
    texts.push((await highrank("generate", target, ...greedy, ...more)).text as string);
  }
  return texts;
}

async function hashes(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of await readdir(path.join(cwd, folder))) {
    const bytes = await readFile(path.join(cwd, folder, name));
    found[name] = createHash("sha256").update(bytes).digest("hex");
  }
  return found;
}

describe("a model learns the style of a second text", () => {
  test("two real texts, the held-out part of the second from modules that the other part knows nothing of", async () => {
    const { status, stdout } = spawnSync(process.execPath, [path.join(DEMO, "node-docs.js")], { cwd });
    expect(status).toBe(0);
    const [train, valid] = [...stdout.toString().matchAll(/: (\d+) samples/g)].map(([, count]) => Number(count));
    expect(train).toBeGreaterThan(1500);
    expect(valid).toBeGreaterThan(100);
    const samples = async (part: string): Promise<{ prompt: string; completion: string }[]> => {
      const text = await readFile(path.join(cwd, `node-docs/${part}.jsonl`), "utf8");
      return text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    };
    const modulesOf = (part: readonly { prompt: string }[]) => new Set(part.map(({ prompt }) => prompt.split(".")[0]!));
    const [ofTrain, ofValid] = [await samples("train"), await samples("valid")];
    const shared = [...modulesOf(ofValid)].filter((name) => modulesOf(ofTrain).has(name));
    expect(shared).toEqual([]);
    expect(new Set([...ofTrain, ...ofValid].map(({ completion }) => completion)).size).toBe(train! + valid!);
  });

  test("its held-out loss falls by more than a nat, and the base stays as it was", async () => {
    await highrank("train", path.join(DEMO, "base.yaml"), "--out", "base");
    const base = await hashes("base/model");
    const before = await lossOf("base/model");
    const result = await highrank("train", path.join(DEMO, "adapt.yaml"), "--out", "adapted");
    expect(["done", "early"]).toContain(result.outcome);
    const after = await lossOf("adapted");
    // 5.36 and 3.76 where the figures of docs/fine-tuning.md were taken.
    expect(before).toBeGreaterThan(5);
    expect(before - after).toBeGreaterThan(1.3);
    expect(await lossOf("adapted", "--adapter", "none")).toBeCloseTo(before, 5);
    expect(await hashes("base/model")).toEqual(base);
    const [own, copied] = [
      await readModelFolder(path.join(cwd, "base/model")),
      await readModelFolder(path.join(cwd, "adapted/base")),
    ];
    expect(copied.tensors).toEqual(own.tensors);
  }, 900_000);

  test("base + adapter, merged, and exported, it writes the same", async () => {
    const merged = await highrank("merge", "adapted", "--out", "merged", "--verify");
    expect((merged.verification as { relativeChange: number }).relativeChange).toBeLessThan(1e-5);
    for (const to of ["peft", "hf", "onnx"]) await highrank("export", "adapted", "--to", to, "--out", to);
    const expected = await textsOf("adapted/adapter", "--base", "base/model");
    expect(new Set(expected).size).toBeGreaterThan(1);
    expect(await textsOf("base/model")).not.toEqual(expected);
    for (const target of ["adapted", "merged", "peft", "hf"]) expect(await textsOf(target), target).toEqual(expected);
    const onnx: string[] = [];
    for (const prompt of PROMPTS) onnx.push(await continueText(path.join(cwd, "onnx"), prompt, TOKENS));
    expect(onnx).toEqual(expected);
  }, 600_000);

  test.runIf(hasTransformersJs())("and in transformers.js", async () => {
    const expected = await textsOf("adapted");
    for (const [i, prompt] of PROMPTS.entries()) {
      const { continuation } = await continueInTransformersJs(cwd, "onnx", { text: prompt, maxNewTokens: TOKENS });
      expect(continuation).toBe(expected[i]);
    }
  });
});
