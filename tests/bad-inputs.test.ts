import { expect, test } from "vitest";
import { type Files, listTree, runCommand, withFolder } from "./run-command.js";

/** A call that must fail with one clear message and leave nothing behind. */
interface BadInput {
  readonly name: string;
  readonly args: readonly string[];
  /** Files in the folder that the command runs in. */
  readonly files?: Files;
  /** Texts that the message must contain. */
  readonly says: readonly string[];
  readonly code: 1 | 2 | 3 | 4;
}

const TEXT = Array.from({ length: 60 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`).join("\n\n");

/** A run that would take seconds, with `more` flags. */
function train(...more: string[]): string[] {
  const flags = "--data a.txt --model tiny --vocab-size 280 --sequence-length 16 --batch-size 2 --rank 4 --max-steps 4";
  const kept = flags.split(" ").filter((_, i, all) => !more.includes(all[i - (i % 2)]!));
  return ["train", ...kept, ...more];
}

// Add a row for every input that somebody may get wrong.
const BAD_INPUTS: readonly BadInput[] = [
  {
    name: "an unknown verb",
    args: ["trian"],
    says: ["unknown command 'trian'", 'did you mean "train"?', "highrank --help"],
    code: 2,
  },
  { name: "no verb", args: [], says: ["Usage: highrank"], code: 2 },
  {
    name: "an unknown flag",
    args: ["train", "--rnak", "8"],
    says: ["unknown option '--rnak'", "did you mean --rank?", "highrank train --help"],
    code: 2,
  },
  {
    name: "another trainer's flag that does not translate one to one",
    args: ["train", "--gradient-accumulation-steps", "4"],
    says: ["--gradient-accumulation-steps", "set totalBatchSize to batchSize times that number"],
    code: 2,
  },
  {
    name: "an unknown flag of a verb without settings",
    args: ["eval", "model", "--dta", "x.txt"],
    says: ["unknown option '--dta'", "did you mean --data?", "highrank eval --help"],
    code: 2,
  },
  { name: "a missing argument", args: ["generate"], says: ["missing required argument 'TARGET'"], code: 2 },
  { name: "too many arguments", args: ["doctor", "now"], says: ["too many arguments"], code: 2 },
  { name: "a flag without its value", args: ["train", "--rank"], says: ["argument missing", "--rank"], code: 2 },
  {
    name: "several values out of range, all reported at once",
    args: ["train", "--rank", "0", "--lr", "fast", "--method", "qlora"],
    says: [
      '--rank: must be an integer of at least 1, got "0"',
      '--lr: must be a number above 0, got "fast"',
      '--method: must be one of full, lora, relora, got "qlora"',
    ],
    code: 2,
  },
  {
    name: "values of a verb without settings out of range, all reported at once",
    args: ["generate", "model", "--temperature", "-1", "--top-p", "2"],
    says: ["--temperature: must be a number of at least 0", "--top-p: must be a number above 0 and at most 1"],
    code: 2,
  },
  {
    name: "a flag beside its other name",
    args: ["train", "--rank", "8", "--lora-r", "16"],
    says: ["is another name of rank"],
    code: 2,
  },
  {
    name: "settings that do not fit together",
    args: ["train", "--batch-size", "8", "--total-batch-size", "12"],
    says: ["must be a multiple of batchSize (8), got 12"],
    code: 2,
  },
  { name: "eval without data", args: ["eval", "model"], says: ["--data is missing"], code: 2 },
  {
    name: "a config file that does not exist",
    args: ["train", "nowhere.yaml"],
    says: ["cannot read nowhere.yaml", "no such file"],
    code: 3,
  },
  {
    name: "a config file that is a folder",
    args: ["train", "."],
    says: ["cannot read .", "it is a folder"],
    code: 3,
  },
  {
    name: "a config file that is not text",
    args: ["train", "config.yaml"],
    files: { "config.yaml": Uint8Array.of(0xff, 0xfe, 0x00, 0x80) },
    says: ["config.yaml is not UTF-8 text"],
    code: 3,
  },
  {
    name: "a config file that is not YAML",
    args: ["train", "config.yaml"],
    files: { "config.yaml": "rank: [1, 2\nlr: 3\n" },
    says: ["config.yaml", "at line 2"],
    code: 2,
  },
  {
    name: "an unknown key in a config file",
    args: ["train", "config.yaml"],
    files: { "config.yaml": "rnak: 8\nmethod: lora\n" },
    says: ['config.yaml: unknown setting "rnak"', 'did you mean "rank"?'],
    code: 2,
  },
  {
    name: "an unknown verb below a verb",
    args: ["tokenizer", "trian"],
    says: ["unknown command 'trian'", 'did you mean "train"?', "highrank tokenizer --help"],
    code: 2,
  },
  { name: "a tokenizer without a folder to write to", args: ["tokenizer", "train", "a.txt"], says: ["--out"], code: 2 },
  {
    name: "a tokenizer where one exists already",
    args: ["tokenizer", "train", "a.txt", "--out", "model"],
    files: { "a.txt": "some text", "model/tokenizer.json": "{}" },
    says: ["model/tokenizer.json exists already", "--overwrite"],
    code: 2,
  },
  {
    name: "a vocabulary without room for the bytes",
    args: ["tokenizer", "train", "a.txt", "--out", "model", "--vocab-size", "100"],
    files: { "a.txt": "some text" },
    says: ["--vocab-size: must be an integer of at least 257", 'got "100"'],
    code: 2,
  },
  {
    name: "train: a model that is neither a preset nor a folder",
    args: train("--model", "tinny"),
    files: { "a.txt": TEXT },
    says: ['model: "tinny" is neither', 'did you mean "tiny"?', "60m"],
    code: 2,
  },
  {
    name: "train: a rank that exceeds the layers",
    args: train("--rank", "100"),
    files: { "a.txt": TEXT },
    says: ["rank: 100 exceeds", "model.layers.0.self_attn.q_proj (64 × 64) takes at most 64"],
    code: 2,
  },
  {
    name: "train: targets that match nothing",
    args: train("--target-modules", "q_prj"),
    files: { "a.txt": TEXT },
    says: ['"q_prj" (did you mean "q_proj"?)', "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"],
    code: 2,
  },
  {
    name: "train: a sequence longer than the data",
    args: train("--sequence-length", "5000"),
    files: { "a.txt": TEXT },
    says: ["rows of 5000 tokens", "--sequence-length"],
    code: 3,
  },
  {
    name: "train: a folder to write to that holds something else",
    args: train("--out", "photos"),
    files: { "a.txt": TEXT, "photos/1.jpg": "" },
    says: ["photos is not empty", "name another folder"],
    code: 2,
  },
  {
    name: "train: a model that does not exist",
    args: train("--model", "models/nowhere"),
    files: { "a.txt": TEXT },
    says: ["models/nowhere must be a model folder"],
    code: 3,
  },
  {
    name: "generate: a target that does not exist",
    args: ["generate", "nowhere"],
    says: ["nowhere must be a model folder"],
    code: 3,
  },
  {
    name: "eval: a target that is no model",
    args: ["eval", "photos", "--data", "a.txt"],
    files: { "a.txt": TEXT, "photos/1.jpg": "" },
    says: ["photos must hold model.safetensors"],
    code: 3,
  },
  ...["data", "train --model tiny --data", "tokenizer train --out model"].flatMap((verb): BadInput[] => [
    {
      name: `${verb}: a data file that does not exist`,
      args: [...verb.split(" "), "nowhere.txt"],
      says: ["nowhere.txt: there is no such file or folder", "builtin:wordnet"],
      code: 3,
    },
    {
      name: `${verb}: an empty data file`,
      args: [...verb.split(" "), "empty.txt"],
      files: { "empty.txt": "" },
      says: ["empty.txt: no text in it"],
      code: 3,
    },
    {
      name: `${verb}: a data file that is not text`,
      args: [...verb.split(" "), "picture.txt"],
      files: { "picture.txt": Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0xff, 0xd8) },
      says: ["picture.txt is not UTF-8 text"],
      code: 3,
    },
    {
      name: `${verb}: a data file of unknown kind`,
      args: [...verb.split(" "), "table.csv"],
      files: { "table.csv": "a,b" },
      says: ["table.csv: the name must end in .txt, .md, .jsonl"],
      code: 3,
    },
    {
      name: `${verb}: an empty folder`,
      args: [...verb.split(" "), "."],
      says: [".: the folder has no file whose name ends in .txt, .md, .jsonl"],
      code: 3,
    },
    {
      name: `${verb}: an unknown built-in text`,
      args: [...verb.split(" "), "builtin:wordnett"],
      says: ["builtin:wordnett: there is no such built-in text", "builtin:wordnet"],
      code: 3,
    },
  ]),
  {
    name: "nothing to inspect at a path",
    args: ["inspect", "nowhere"],
    says: ["nowhere: there is no such file or folder"],
    code: 3,
  },
  {
    name: "a folder that is nothing we know",
    args: ["inspect", "notes"],
    files: { "notes/readme.txt": "hello" },
    says: ["notes is none of what can be inspected", "config.json"],
    code: 3,
  },
  {
    name: "a text file where weights must be",
    args: ["inspect", "model.safetensors"],
    files: { "model.safetensors": "this is text, not weights" },
    says: ["model.safetensors is not a safetensors file"],
    code: 3,
  },
  {
    name: "weights as pickles",
    args: ["inspect", "pytorch_model.bin"],
    files: { "pytorch_model.bin": "\u0080\u0002}" },
    says: ["Python pickles", "safe_serialization=True"],
    code: 3,
  },
  {
    name: "damaged metrics of a run",
    args: ["inspect", "run"],
    files: { "run/metrics.jsonl": '{"kind":"skip","step":1,"reason":""}\nbroken\n{"kind":"skip"\n' },
    says: ["run/metrics.jsonl", "line 2: broken", 'line 3: {"kind":"skip"'],
    code: 3,
  },
];

test.each(BAD_INPUTS)("$name", async ({ args, files = {}, says, code }) => {
  await withFolder(files, async (cwd) => {
    const before = await listTree(cwd);
    const result = await runCommand(args, { cwd });
    for (const text of says) expect(result.stderr).toContain(text);
    expect(result.stderr).toMatch(/^(error: |Usage: )/);
    expect(result.stderr).not.toMatch(/^\s+at /m);
    expect(result.stdout).toMatch(/^(Reading .* and preparing the model …\n)?$/);
    expect(result.code).toBe(code);
    expect(await listTree(cwd)).toEqual(before);
  });
});

test("train: a disk that is full leaves no partial file", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    // A limit on the size of files stands in for the disk.
    const { code, stderr } = await runCommand(train("--out", "run"), { cwd, maxFileKilobytes: 200 });
    expect(stderr).toMatch(/^error: cannot write run\/\S+: the file is larger than .*; choose another folder\n$/);
    expect(code).toBe(3);
    expect((await listTree(cwd)).filter((path) => path.includes("partial") || path.includes("safetensors"))).toEqual(
      [],
    );
  });
});

test("train: numbers that diverge end it with their own exit code", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    const args = train("--lr", "1e30", "--clip-grad-norm", "none", "--max-bad-steps", "1", "--max-steps", "60");
    const { code, stdout, stderr } = await runCommand(args, { cwd });
    expect(stdout).toContain("changed nothing: the loss is NaN");
    expect(stderr).toMatch(/^error: training diverged at step \d+.*lower lr/);
    expect(code).toBe(4);
  });
});
