import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { parseStudy } from "../src/studies/study-config.js";
import { runCommand } from "./run-command.js";
import { writeStandIn } from "./stand-in-model.js";

const EXAMPLES = {
  "01-adapter.ts": () => import("../examples/01-adapter.js"),
  "02-merging.ts": () => import("../examples/02-merging.js"),
  "03-relora.ts": () => import("../examples/03-relora.js"),
  "04-schedule.ts": () => import("../examples/04-schedule.js"),
  "05-tiny-llama.ts": () => import("../examples/05-tiny-llama.js"),
  "06-saved-adapter.ts": () => import("../examples/06-saved-adapter.js"),
  "07-lazy-tensors.ts": () => import("../examples/07-lazy-tensors.js"),
  "08-own-adapter.ts": () => import("../examples/08-own-adapter.js"),
  "answer-many.ts": () => import("../examples/answer-many.js"),
  "continue-adapter.ts": () => import("../examples/continue-adapter.js"),
  "evaluate.ts": () => import("../examples/evaluate.js"),
  "fine-tune.ts": () => import("../examples/fine-tune.js"),
  "from-scratch.ts": () => import("../examples/from-scratch.js"),
  "merge-and-export.ts": () => import("../examples/merge-and-export.js"),
  "training-loop.ts": () => import("../examples/training-loop.js"),
};

// The examples run elsewhere, and the model that they name is a small one of the same name.
const folder = mkdtempSync(path.join(tmpdir(), "highrank-examples-"));
const root = process.cwd();
const EXAMPLES_FOLDER = fileURLToPath(new URL("../examples/", import.meta.url));
beforeAll(async () => {
  const chats = readFileSync(path.join(EXAMPLES_FOLDER, "chats.jsonl"), "utf8").split("\n");
  await writeStandIn(path.join(folder, "hub"), "HuggingFaceTB/SmolLM2-135M-Instruct", chats);
  vi.stubEnv("HF_HUB_CACHE", path.join(folder, "hub"));
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  symlinkSync(EXAMPLES_FOLDER, path.join(folder, "examples"));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(root);
  rmSync(folder, { recursive: true });
});

/** Runs an example and gives the lines that it printed. */
async function linesOf(example: keyof typeof EXAMPLES): Promise<string[]> {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await EXAMPLES[example]();
    return log.mock.calls.map((values) => values.join(" "));
  } finally {
    log.mockRestore();
  }
}

/** The first group of `pattern` in every line that has it, as numbers. */
function numbers(lines: readonly string[], pattern: RegExp): number[] {
  return lines.flatMap((line) => pattern.exec(line)?.slice(1, 2).map(Number) ?? []);
}

const isFalling = (values: readonly number[]): boolean => values.every((value, i) => i === 0 || value < values[i - 1]!);

test("every file in examples/ is run here", () => {
  const files = readdirSync(new URL("../examples/", import.meta.url)).sort();
  // Of those in folders, tests/browser.devices.test.ts and tests/fine-tuning-demo.size.test.ts run one each.
  expect([...Object.keys(EXAMPLES), "browser", "chats.jsonl", "fine-tuning", "studies"].sort()).toEqual(files);
});

test("every study in examples/ is a sound one", () => {
  const folder = new URL("../examples/studies/", import.meta.url);
  const configs = readdirSync(folder).filter((file) => file.endsWith(".yaml") && !file.endsWith("-base.yaml"));
  const studies = configs.sort().map((file) => parseStudy(readFileSync(new URL(file, folder), "utf8"), file, file));
  expect(studies.map(({ arms, seeds }) => arms.length * seeds.length)).toEqual([27, 30, 15, 42, 48]);
});

test("the study of facts runs from its files alone", async () => {
  const facts = execFileSync(process.execPath, ["examples/studies/facts.js", "data/facts"], { encoding: "utf8" });
  expect(facts).toBe("1200 names in data/facts\n");
  const lines = readFileSync("data/facts/new/train.jsonl", "utf8").trimEnd().split("\n");
  expect([lines.length, new Set(lines.map((line) => JSON.parse(line).prompt)).size]).toEqual([800, 800]);
  const base =
    "train examples/studies/facts-base.yaml --out runs/facts-base --max-steps 30 --eval-every 30 --save-every 30";
  expect(await runCommand(base.split(" "), { cwd: folder })).toMatchObject({ code: 0 });
  const study = await runCommand(["compare", "examples/studies/facts.yaml", "--dry-run"], { cwd: folder });
  expect(study.stdout).toContain("30 runs, 123M tokens: 30 to do");
});

test("a fresh adapter changes nothing, its first gradient reaches B alone, one step lowers the loss", async () => {
  const lines = await linesOf("01-adapter.ts");
  const text = lines.join("\n");
  expect(text).toContain("loraA (2,6)");
  expect(text).toContain("loraB (4,2), norm 0.0000");
  expect(text).toContain("ΔW = B·A (4,6), norm 0.0000");
  expect(text).toContain("gradient of A: norm 0.0000");
  expect(numbers(lines, /^gradient of B: norm (.+)$/)[0]).toBeGreaterThan(0.1);
  expect(numbers(lines, /^ΔW: norm (.+)$/)[0]).toBeGreaterThan(0.1);
  const [before] = numbers(lines, /^one step: loss (\S+)/);
  const [after] = numbers(lines, /^one step: .* -> (.+)$/);
  expect(after).toBeLessThan(before! * 0.9);
});

test("merging moves the weight once and the output never", async () => {
  const lines = await linesOf("02-merging.ts");
  const moves = numbers(lines, /weight has moved by up to (.+)$/);
  expect(moves[0]).toBeGreaterThan(0.1);
  expect(moves[1]).toBe(moves[0]);
  expect(lines.filter((line) => line.endsWith("ΔW is 0"))).toHaveLength(2);
  expect(lines.filter((line) => line.endsWith("less than 1e-5: true"))).toHaveLength(2);
});

test("the rank of ReLoRA's sum of updates grows past the adapter's with every cycle, while the loss falls", async () => {
  const lines = await linesOf("03-relora.ts");
  const ranks = numbers(lines, /updates (\d+)$/);
  expect(ranks.slice(0, 4)).toEqual([2, 4, 6, 8]);
  expect(ranks).toHaveLength(6);
  const losses = numbers(lines, /loss (\S+),/);
  expect(isFalling(losses)).toBe(true);
  expect(losses[5]).toBeLessThan(losses[0]! / 100);
});

test("the plotted learning rate warms up, restarts three times from zero, and peaks lower each time", async () => {
  const lines = await linesOf("04-schedule.ts");
  const rates = numbers(lines, /^ *\d+ {2}(\S+)/);
  expect(rates).toHaveLength(40);
  const restarts = lines.flatMap((line, i) => (line.endsWith("restart") ? [i] : []));
  expect(restarts).toEqual([10, 20, 30]);
  expect(restarts.map((i) => rates[i])).toEqual([0, 0, 0]);
  const peaks = [0, ...restarts].map((i) => Math.max(...rates.slice(i, i + 10)));
  expect(peaks[0]).toBe(1);
  expect(isFalling(peaks)).toBe(true);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
});

test("the tiny LLaMA starts at chance and ends up writing the sentence that it was trained on", async () => {
  const lines = await linesOf("05-tiny-llama.ts");
  const losses = numbers(lines, /loss (.+)$/);
  const symbols = new Set("she sells sea shells by the sea shore. ").size;
  expect(losses[0]).toBeCloseTo(Math.log(symbols), 0);
  expect(losses.at(-1)).toBeLessThan(0.5);
  expect(lines.at(-1)).toBe("she sells sea shells by the sea shore.");
});

test("an adapter comes back from its PEFT folder as it was", async () => {
  expect(await linesOf("06-saved-adapter.ts")).toEqual([
    "adapter_config.json adapter_model.safetensors",
    "rank 4, alpha 8, for q_proj: model.layers.0.self_attn.q_proj",
    "the same ΔW, bit for bit: true",
  ]);
});

test("a class from outside the package is trained with restarts, and exported for PEFT", async () => {
  expect(await linesOf("08-own-adapter.ts")).toEqual([
    "merged after step 40",
    "merged after step 60",
    "merged after step 80",
    "the adapters have learned: true",
    "PEFT's adapter computes the same: true",
  ]);
});

test("lazy tensors check shapes at once, and checkpointing computes more for the same gradients", async () => {
  const lines = await linesOf("07-lazy-tensors.ts");
  expect(lines[0]).toBe("not computed yet: Tensor(matmul, (5, 8), float32)");
  expect(lines[1]).toBe("computed now: 40 values");
  expect(lines[2]).toMatch(/^caught while building: matmul: inner dimensions differ/);
  // Four forward products, a gradient for one weight and three activations; then the forward products again.
  expect(lines[3]).toBe("checkpointing false: 8 matrix products");
  expect(lines[4]).toBe("checkpointing true: 12 matrix products");
  expect(lines[5]).toBe("equal gradients, bit for bit: true");
});

test("a fine-tune on chats lowers the loss, and the model answers", async () => {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const lines = await linesOf("fine-tune.ts");
  write.mockRestore();
  const losses = numbers(lines, /^step \d+: loss (.+)$/);
  expect(losses).toHaveLength(40);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
});

test("several chats are answered at once, in their order", async () => {
  const lines = await linesOf("answer-many.ts");
  expect(lines.map((line) => line.replace(/\?.*/s, "?"))).toEqual([
    ...["Which animal barks?", "Which animal purrs?", "Which animal has a trunk?"],
  ]);
  for (const line of lines) expect(line).toMatch(/ \((end-of-text|length)\)$/);
});

test("a PEFT adapter is where training goes on", async () => {
  const [losses, adapter] = await linesOf("continue-adapter.ts");
  const [, first, second] = /^held-out loss (\S+), then (\S+)$/.exec(losses!)!.map(Number);
  expect(second).toBeLessThan(first!);
  expect(adapter).toMatch(/^the adapter goes on in runs\/\d+-/);
});

test("a model scores better after training than before", async () => {
  const [before, after] = numbers(await linesOf("evaluate.ts"), /^loss (\S+), perplexity \S+ of \d+ tokens$/);
  expect(after).toBeLessThan(before!);
});

test("one run becomes a merged folder, an adapter and an ONNX file", async () => {
  const [merged, adapter, onnx] = await linesOf("merge-and-export.ts");
  expect(merged).toMatch(/^merging changed the logits by (0e\+0|\de-\d+) of the largest$/);
  expect(adapter).toMatch(/^an adapter of rank \d+ for 14 layers$/);
  expect(onnx).toBe("onnx/model_fp16.onnx, which transformers.js loads");
});

test("a tiny model that starts at random learns to count", async () => {
  const lines = await linesOf("from-scratch.ts");
  const losses = numbers(lines, /held-out loss (.+)$/);
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
  expect(lines.at(-2)).toMatch(/^4 merges, best loss /);
  expect(lines.at(-1)).toMatch(/^ \d+\./);
});

test("a loop of one's own on imports of single folders trains the adapters", async () => {
  const losses = numbers(await linesOf("training-loop.ts"), /^step \d+: loss (.+)$/);
  expect(losses).toHaveLength(10);
  expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.9);
});
