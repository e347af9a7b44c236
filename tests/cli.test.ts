import { appendFile, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { flagOf } from "../src/base/naming.js";
import { SETTING_KEYS } from "../src/config/names.js";
import { type Files, listTree, runCommand, withFolder } from "./run-command.js";

const VERBS = [
  ...[
    "train",
    "resume",
    "watch",
    "compare",
    "eval",
    "generate",
    "chat",
    "serve",
    "quantize",
    "merge",
    "export",
    "push",
  ],
  ...["tokenizer", "data", "inspect", "metrics", "doctor", "completion"],
];

test("the help lists every verb, and only those", async () => {
  const { code, stdout } = await runCommand(["--help"]);
  const listed = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]);
  expect(listed).toEqual([...VERBS, "help"]);
  expect(code).toBe(0);
});

test.each([...VERBS, "tokenizer train", "inspect schedule"])(
  "%s has help that fits a screen, and all of it with --all",
  async (verb) => {
    const flagsOf = (help: string): string[] =>
      [...help.matchAll(/^ {2}(?:-h, )?(--[a-z0-9-]+)/gm)].map(([, flag]) => flag!);
    const [short, all] = await Promise.all(
      [["--help"], ["--help", "--all"]].map((flags) => runCommand([...verb.split(" "), ...flags])),
    );
    for (const { code, stdout, stderr } of [short!, all!]) {
      expect(stdout).toContain(`Usage: highrank ${verb}`);
      expect(stderr).toBe("");
      expect(code).toBe(0);
      // A single word such as a list of defaults may be longer.
      const wide = stdout.split("\n").filter((line) => line.length > 80 && line.trim().includes(" "));
      expect(wide).toEqual([]);
    }
    expect(short!.stdout.trimEnd().split("\n").length).toBeLessThanOrEqual(40);
    const left = new Set(flagsOf(all!.stdout)).size - new Set(flagsOf(short!.stdout)).size;
    if (left > 0) expect(short!.stdout).toContain(`highrank ${verb} --help --all shows ${left} more options.`);
    else expect(short!.stdout).not.toContain("--all");
  },
);

test("the help with which a newcomer begins names data, model, length and rate, and no flag's absence as its default", async () => {
  const { stdout } = await runCommand(["train", "--help"]);
  for (const flag of ["model", "data", "method", "rank", "max-steps", "sequence-length", "lr", "out"]) {
    expect(stdout).toMatch(new RegExp(`^ {2}--${flag} `, "m"));
  }
  expect(stdout).not.toContain("default: false");
});

test("every option that a message names is a flag of some verb", async () => {
  const verbs = [...VERBS, "tokenizer train", "inspect schedule"].map((verb) => verb.split(" "));
  const helps = await Promise.all(verbs.map((verb) => runCommand([...verb, "--help", "--all"])));
  const flags = new Set(helps.flatMap(({ stdout }) => stdout.match(/--[a-z0-9-]+/g) ?? []));
  const root = new URL("../src/", import.meta.url);
  const files = (await readdir(root, { recursive: true })).filter((file) => /(?<!\.test)\.ts$/.test(file));
  const named = await Promise.all(
    files.map(async (file) => {
      const source = await readFile(new URL(file, root), "utf8");
      return [...source.matchAll(/(?:optionName|flagOf)\("([A-Za-z]+)"/g)].map(([, key]) => flagOf(key!));
    }),
  );
  expect(named.flat().length).toBeGreaterThan(200);
  expect(named.flat().filter((flag) => !flags.has(flag))).toEqual([]);
});

test("the help of train names every setting with its default", async () => {
  const { stdout } = await runCommand(["train", "--help", "--all"]);
  const flags = new Set([...stdout.matchAll(/^ {2}--(?:no-)?([a-z0-9-]+)/gm)].map((match) => match[1]));
  for (const key of SETTING_KEYS) expect(flags).toContain(key.replace(/[A-Z]/g, (x) => `-${x.toLowerCase()}`));
  expect(stdout).toMatch(/--rank <integer> [^(]*\(default: 16;\s+from scratch 32\)/);
  expect(stdout).toContain("--max-steps <steps>");
});

test("the help and its hints call the program as the user can: by npx where npm started it", async () => {
  const env = { npm_command: "exec" };
  const { stdout } = await runCommand(["--help"], { env });
  expect(stdout).toContain("Usage: npx highrank [options] [command]");
  expect(stdout).toMatch(/^npx highrank train --model NAME --data FILE /m);
  for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  expect((await runCommand(["train", "--rnk", "3"], { env })).stderr).toContain("npx highrank train --help lists");
  const bunx = await runCommand(["--help"], { env: { ...env, npm_lifecycle_event: "bunx" } });
  expect(bunx.stdout).toContain("Usage: bunx highrank [options] [command]");
});

test("two runs that begin at once in one folder: one trains, the other says who is there", async () => {
  const text = "The cat sat on the mat.\n\n".repeat(40);
  const size =
    "--model tiny --vocab-size 270 --sequence-length 16 --batch-size 2 --rank 4 --max-steps 4 --eval-every 100";
  await withFolder({ "a.txt": text }, async (cwd) => {
    const train = `train --data a.txt ${size} --out run`.split(" ");
    const both = await Promise.all([runCommand(train, { cwd }), runCommand(train, { cwd })]);
    const [first, second] = both.sort((a, b) => a.code! - b.code!);
    expect([first!.code, second!.code]).toEqual([0, 2]);
    expect(second!.stderr).toMatch(
      /^error: (run is in use by process \d+ since .*; wait for it|--out: run holds a run already)/,
    );
  });
});

test.each([
  ["finetune", 'did you mean "train"?'],
  ["talk", 'did you mean "chat"?'],
  ["evaluate", 'did you mean "eval"?'],
  ["fuse", 'did you mean "merge"?'],
  ["quantise", 'did you mean "quantize"?'],
  ["train --hlep", "did you mean --help?"],
])("%s is answered with what is meant", async (line, hint) => {
  const { code, stdout, stderr } = await runCommand(line.split(" "));
  expect(stderr).toContain(hint);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test("-v and --version are the package's", async () => {
  const { default: manifest } = await import("../package.json", { with: { type: "json" } });
  for (const flag of ["-v", "--version"]) {
    expect((await runCommand([flag])).stdout).toBe(`${manifest.version}\n`);
  }
});

test("with --json an error is one object on standard output and its message on standard error", async () => {
  const { code, stdout, stderr } = await runCommand(["train", "nowhere.yaml", "--json"]);
  const { error } = JSON.parse(stdout);
  expect(error.name).toBe("DataError");
  expect(stderr).toBe(`error: ${error.message}\n`);
  expect(code).toBe(3);
});

test("HIGHRANK_DEBUG shows where an error came from", async () => {
  const { stderr } = await runCommand(["train", "nowhere.yaml"], { env: { HIGHRANK_DEBUG: "1" } });
  expect(stderr).toMatch(/^error: DataError: cannot read nowhere.yaml/);
  expect(stderr).toMatch(/^\s+at .*settings-flags/m);
});

test("inspect schedule plots within 80 columns and gives numbers with --json", async () => {
  const args = ["inspect", "schedule", "--max-steps", "100", "--warm-start-steps", "20", "--relora-every", "40"];
  const text = await runCommand(args);
  for (const line of text.stdout.split("\n").slice(2)) expect([...line].length).toBeLessThanOrEqual(80);
  expect(text.stdout).toContain("20 full-rank steps, then 80 steps with adapters");
  const { learningRates, merges } = JSON.parse((await runCommand([...args, "--json"])).stdout);
  expect(learningRates).toHaveLength(100);
  expect(merges).toEqual([60, 100]);
  const fineTune = ["--model", "some/model", "--data", "chats.jsonl", "--max-steps", "10", "--lr", "2e-3"];
  const tuned = await runCommand(["inspect", "schedule", ...fineTune, "--json"]);
  expect(JSON.parse(tuned.stdout).learningRates).toHaveLength(10);
  // The quickstart's adapters have a peak of 4e-3; the first step after a restart is at the foot of the warm-up.
  expect(learningRates[60]).toBeLessThan(0.2 * learningRates[59 + 10]);
});

/** A safetensors file of float32 zeros. */
function safetensors(shapes: Readonly<Record<string, readonly number[]>>): Uint8Array {
  let offset = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const begin = offset;
    offset += 4 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: "F32", shape, data_offsets: [begin, offset] }];
  });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const bytes = new Uint8Array(8 + header.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  return bytes;
}

const weights = safetensors({ "layers.10.weight": [4, 8], "layers.2.weight": [8], scalar: [] });
const metrics = [
  { kind: "eval", step: 0, loss: 8, perplexity: 2981, tokens: 10, sample: "x" },
  {
    kind: "step",
    step: 5,
    tokens: 50,
    loss: 7,
    learningRate: 1e-3,
    gradNorm: 1,
    tokensPerSecond: 9,
    cycle: 1,
    phase: "adapter",
  },
  {
    kind: "merge",
    step: 5,
    cycle: 1,
    policy: null,
    lossBefore: 7,
    lossAfter: 7,
    deltaNorm: 2,
    recovered: 1,
    codesChanged: null,
    probeLogitsChange: 0,
    rank: 3,
    layers: [{ name: "q_proj", deltaNorm: 2, recovered: 1, codesChanged: null, rank: 3 }],
  },
  { kind: "eval", step: 5, loss: 6.5, perplexity: 665, tokens: 10, sample: "y" },
];
const files: Files = {
  "model/config.json": '{"model_type": "llama", "hidden_size": 8}',
  "model/model.safetensors": weights,
  "run/metrics.jsonl": metrics.map((record) => `${JSON.stringify(record)}\n`).join(""),
  "run/checkpoint-000005/state.json": "{}",
};

test.each([
  ["model/model.safetensors", "safetensors"],
  ["model", "model"],
])("inspect %s lists tensors in the order of their numbers, and counts parameters", async (path, kind) => {
  await withFolder(files, async (cwd) => {
    const text = (await runCommand(["inspect", path], { cwd })).stdout;
    expect(text).toMatch(/layers\.2\.weight +F32 +\(8\) +8\n +layers\.10\.weight +F32 +\(4, 8\) +32\n/);
    expect(text).toContain("3 tensors, 41 parameters");
    const json = JSON.parse((await runCommand(["inspect", path, "--json"], { cwd })).stdout);
    expect(json).toMatchObject({ path, kind, parameters: 41 });
    expect(json.tensors).toHaveLength(3);
  });
});

test("inspect of a run tells its state, losses and merges", async () => {
  await withFolder(files, async (cwd) => {
    const text = (await runCommand(["inspect", "run"], { cwd })).stdout;
    expect(text).toContain("run, not finished");
    expect(text).toContain("loss 8.0000 -> 6.5000");
    expect(text).toContain("7.0000 -> 7.0000");
    expect(text).toContain("checkpoint-000005");
    const json = JSON.parse((await runCommand(["inspect", "run", "--json"], { cwd })).stdout);
    expect(json).toMatchObject({ kind: "run", step: 5, tokens: 50, end: null, merges: [{ rank: 3 }] });
    const counts = { step: 5, modelStep: 4, tokens: 50, skipped: 0 };
    const end = { kind: "end", outcome: "done", ...counts, seconds: 1, savingSeconds: 0, peakMemoryBytes: 1 };
    await appendFile(path.join(cwd, "run/metrics.jsonl"), `${JSON.stringify(end)}\n`);
    expect((await runCommand(["inspect", "run"], { cwd })).stdout).toContain("model        of step 4, with the lowest");
  });
});

test("data tells format, split and tokens, and shows a document as pieces that spell it", async () => {
  const lines = Array.from({ length: 50 }, (_, i) => JSON.stringify({ text: `Das Wort Nummer ${i} heißt „Öl“.` }));
  await withFolder({ "a.jsonl": lines.join("\n") }, async (cwd) => {
    const args = ["data", "a.jsonl", "--vocab-size", "280"];
    const { stdout, stderr } = await runCommand([...args, "--json"], { cwd });
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ kind: "text", source: "a.jsonl", format: "jsonl", vocabSize: 280 });
    expect(found.samples.train + found.samples.validation).toBe(50);
    expect(found.train.tokens).toBeGreaterThan(found.samples.train);
    expect(found.sampleTokens.at(-1)).toMatchObject({ text: "<|endoftext|>", isScored: true });
    expect(stderr).toBe("");
    const text = (await runCommand(args, { cwd })).stdout;
    expect(text).toContain("JSON lines: text, all of it scored");
    expect(text).toContain(" Wort Nummer");
  });
});

test("data says what is scored of samples, and shows it", async () => {
  const samples = Array.from({ length: 30 }, (_, i) =>
    JSON.stringify({ prompt: `${i} + 1 =`, completion: ` ${i + 1}` }),
  );
  await withFolder({ "sums.jsonl": samples.join("\n") }, async (cwd) => {
    const args = ["data", "sums.jsonl", "--vocab-size", "280"];
    const { stdout } = await runCommand(args, { cwd });
    expect(stdout).toContain("prompt and completion, only the completion is scored");
    expect(stdout).toContain("<|endoftext|>0 + 1 =[ 1<|endoftext|>]");
    const all = (await runCommand([...args, "--train-on-inputs"], { cwd })).stdout;
    expect(all).toContain("prompt and completion, all scored");
    expect(all).toContain("<|endoftext|>[0 + 1 = 1<|endoftext|>]");
  });
});

test("data shows which tokens of a row are scored", async () => {
  const row = JSON.stringify({ input_ids: [5, 6, 7, 8], labels: [-100, -100, 7, 8] });
  await withFolder({ "rows.jsonl": row }, async (cwd) => {
    const { stdout, code } = await runCommand(["data", "rows.jsonl"], { cwd });
    expect(stdout).toMatch(/train +1 +0 +4 +2\n/);
    expect(stdout).toContain("5 6 [7 8]");
    expect(code).toBe(0);
  });
});

test.each([
  [["train", "--rslora=yes"], "--rslora is a switch without a value: write --rslora alone, or --no-rslora"],
  [["train", "--no-rslora=1"], "--no-rslora is a switch without a value: write --no-rslora alone, or --rslora"],
  [["eval", "run", "--data", "a", "--data", "b"], "--data: is given twice, as a and as b; give it once"],
  [["train", "--rank=4", "--rank", "8"], "--rank: is given twice, as 4 and as 8; give it once"],
  [["generate", "run", "--chat", "--prompt", ""], "--prompt: is empty, and a chat needs a question"],
])("%j: the way out is named", async (args, message) => {
  const { code, stderr } = await runCommand(args);
  expect(stderr).toContain(message);
  expect(code).toBe(2);
});

test("options that may repeat, and one that is given twice with one value, are taken", async () => {
  const args = ["generate", "missing", "--stop", "a", "--stop", "b", "--prompt", "x", "--prompt", "x"];
  expect((await runCommand(args)).stderr).toMatch(/missing/);
});

test("tokenizer train learns from text alone", async () => {
  await withFolder({ "ids.jsonl": '{"input_ids":[1,2,3]}\n' }, async (cwd) => {
    const { code, stderr } = await runCommand(["tokenizer", "train", "ids.jsonl", "--out", "tok"], { cwd });
    expect([code, stderr]).toEqual([3, expect.stringContaining("ids.jsonl: has no text to learn a tokenizer from")]);
    expect(await listTree(cwd)).toEqual(["ids.jsonl"]);
  });
});

test("tokenizer train writes a tokenizer that data then uses", async () => {
  await withFolder({ "a.txt": "the cat sat on the mat. ".repeat(20) }, async (cwd) => {
    const train = ["tokenizer", "train", "a.txt", "--out", "tok", "--vocab-size", "265"];
    const { stdout, code } = await runCommand([...train, "--json"], { cwd });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ path: "tok/tokenizer.json", vocabSize: 265, documents: 1 });
    expect(await listTree(cwd)).toEqual(["a.txt", "tok", "tok/tokenizer.json", "tok/tokenizer_config.json"]);
    const data = JSON.parse((await runCommand(["data", "a.txt", "--tokenizer", "tok", "--json"], { cwd })).stdout);
    expect(data.vocabSize).toBe(265);
    const again = await runCommand([...train, "--overwrite"], { cwd });
    expect(again.stdout).toContain("vocabulary  265 tokens\n");
  });
});

test("doctor finds a CPU that computes, and says why another provider does not start", async () => {
  const { code, stdout, stderr } = await runCommand(["doctor", "--json"]);
  const { node, providers, threads, mpi, launcher } = JSON.parse(stdout);
  expect(node).toBe(process.versions.node);
  expect(providers[0]).toEqual({ name: "cpu", works: true, fault: null });
  for (const { works, fault } of providers) expect(works).toBe(fault === null);
  expect(threads).toBeGreaterThan(0);
  expect(mpi).toMatchObject(mpi.library === null ? { version: null } : { version: expect.any(String), fault: null });
  expect(launcher).toBeNull();
  expect(stderr).toBe("");
  expect(code).toBe(0);
});

test("doctor says why several processes cannot reach one another only to those who start some", async () => {
  const HIGHRANK_MPI_LIBRARY = "libnone.so.1";
  const named = await runCommand(["doctor"], { env: { HIGHRANK_MPI_LIBRARY, PMI_RANK: "0", PMI_SIZE: "2" } });
  expect(named.stdout).toMatch(/^MPI +no MPI library can be loaded \(libnone\.so\.1: .*\)\. Install one, .*$/m);
  expect(named.stdout).toMatch(/^launcher +mpirun of MPICH, rank 0 of 2$/m);
  expect(named.code).toBe(0);
  const { stdout } = await runCommand(["doctor"]);
  expect(stdout).toMatch(/^MPI +(none; only several processes need it|.+ \(.+\), koffi \d+\.\d+\.\d+)$/m);
  expect(stdout).not.toContain("launcher");
});

test("what would drive a terminal in names, metadata and data is printed as text", async () => {
  const evil = "\u001b[2J\u202e\u009b\rx";
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: { [evil]: evil },
      [`a${evil}\n2 tensors`]: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
    }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const files = {
    "a.safetensors": Buffer.concat([length, header, Buffer.alloc(4)]),
    "b.jsonl": Array.from({ length: 30 }, (_, i) => JSON.stringify({ text: `${evil} ${i}`, [evil]: 1 })).join("\n"),
  };
  await withFolder(files, async (cwd) => {
    for (const line of ["inspect a.safetensors", "inspect a.safetensors --json", "data b.jsonl", `inspect no${evil}`]) {
      const { stdout, stderr } = await runCommand(line.split(" "), { cwd });
      expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u);
      expect(stdout + stderr).toContain("\\u001b[2J\\u202e\\u009b");
      if (line === "inspect a.safetensors") expect(stdout).toContain("x\\n2 tensors  F32");
    }
  });
});
