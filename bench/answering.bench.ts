// What does a token cost with a real model, in float32 and in NF4, alone and of several prompts at once, beside
// transformers and bitsandbytes with the same files?
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";
import { lastLineOf, peerModel, peers } from "./side-process.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    // Its answer is longer than the tokens that are measured.
    prompt: { type: "string", default: "Here is a long list of the countries of the world, with their capitals:" },
    tokens: { type: "string", default: "64" },
    prompts: { type: "string", default: "16" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    out: { type: "string" },
  },
});
const { prompt, tokens, prompts, threads } = flags;

interface Answer {
  /** Wall time of a token. */
  readonly ms: number;
  readonly text: string;
  readonly peakBytes: number;
}

const started = setting();
const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
try {
  const float32 = peerModel(flags.model);
  const nf4 = join(folder, "nf4");
  const args = ["bin/highrank.js", "quantize", float32, "--to", "nf4", "--out", nf4];
  execFileSync(process.execPath, args, { cwd: REPOSITORY, stdio: "ignore" });
  const node = [process.execPath, join(REPOSITORY, "dist-bench/bench/sides/answer.js")];
  const python = [peers(), join(REPOSITORY, "bench/sides/answer.py")];
  const sides: Readonly<Record<string, readonly string[]>> = {
    "float32, highrank": [...node, "--model", float32],
    "float32, transformers": [...python, "--model", float32],
    "NF4, highrank": [...node, "--model", nf4],
    "NF4 kept, highrank": [...node, "--model", nf4, "--keep-quantized"],
    "NF4, transformers and bitsandbytes": [...python, "--model", nf4],
    [`float32, ${prompts} prompts at once, highrank`]: [...node, "--model", float32, "--prompts", prompts],
  };
  const answers = new Map(Object.keys(sides).map((side) => [side, [] as Answer[]]));
  for (let round = 0; round < Number(flags.rounds); round++) {
    const order = round % 2 === 0 ? Object.keys(sides) : Object.keys(sides).reverse();
    for (const side of order) answers.get(side)!.push(ask(sides[side]!));
  }
  const [[, own]] = answers as unknown as [[string, Answer[]]];
  for (const [side, all] of answers) {
    // NF4 computes another text, and bitsandbytes in bfloat16 a third.
    const expected = side.startsWith("float32") ? own[0]!.text : all[0]!.text;
    for (const { text } of all) {
      if (text.trim() !== expected.trim()) throw new Error(`${side} wrote ${text} instead of ${expected}`);
    }
  }
  const msOf = (all: readonly Answer[]): number => median(all.map(({ ms }) => ms));
  const rows = [...answers].map(([side, all]) => [
    side,
    msOf(all).toFixed(1),
    (msOf(all) / msOf(own)).toFixed(2),
    (Math.max(...all.map(({ peakBytes }) => peakBytes)) / 2 ** 20).toFixed(0),
  ]);
  console.log(`${markdownTable(["model", "ms a token", "/ float32, highrank", "peak MiB"], rows)}

${flags.model}, greedy, ${tokens} tokens after a prompt of a line, ${threads} threads; ${flags.rounds} rounds in turns.
${settingLine(started)}`);
  if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, answers: [...answers] });
} finally {
  rmSync(folder, { recursive: true });
}

function ask([command, ...args]: readonly string[]): Answer {
  const shared = ["--prompt", prompt, "--tokens", tokens, "--threads", threads];
  return lastLineOf(command!, [...args, ...shared]);
}
