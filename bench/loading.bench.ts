// How much memory does it take until a model of 16-bit floats can generate, and how soon does `inspect` answer?
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MODEL_PRESETS } from "../src/config/presets.js";
import { storeAs } from "../src/files/lazy-tensor.js";
import { diskParameters, writeModel } from "../src/loading/model-source.js";
import { LlamaForCausalLM } from "../src/models/llama.js";
import { llamaConfig, writeLlamaConfig } from "../src/models/llama-config.js";
import { Rng } from "../src/tensor/random.js";
import { trainTokenizer } from "../src/tokenizers/train-tokenizer.js";
import { repeatedWeights } from "./memory-reader.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    preset: { type: "string", default: "1b" },
    vocab: { type: "string", default: "32100" },
    tokens: { type: "string", default: "8" },
    rounds: { type: "string", default: "5" },
    out: { type: "string" },
  },
});
const started = setting();
const folder = mkdtempSync(join(tmpdir(), "highrank-loading-"));
try {
  await writeRandomModel(folder);
  const files = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  const fileBytes = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  const inspectMs = Array.from(
    { length: Number(flags.rounds) },
    () => timeOf("dist/cli/main.js", "inspect", folder).ms,
  );
  const loaded = JSON.parse(timeOf("dist-bench/bench/sides/load-model.js", folder, flags.tokens).output) as Loaded;
  report({ fileBytes, inspectMs, ...loaded });
} finally {
  rmSync(folder, { recursive: true });
}

interface Loaded {
  readonly readyMs: number;
  readonly readyPeakBytes: number;
  readonly msPerToken: number;
  readonly peakBytes: number;
}

function report(result: Loaded & { readonly fileBytes: number; readonly inspectMs: readonly number[] }): void {
  const { fileBytes, readyPeakBytes, peakBytes, readyMs, msPerToken, inspectMs } = result;
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  const ratio = (bytes: number): string => (bytes / fileBytes).toFixed(3);
  console.log(
    markdownTable(
      [`${flags.preset}, bfloat16`, "MB", "of the files"],
      [
        ["files with weights", megabytes(fileBytes), "1"],
        ["peak memory, ready to generate", megabytes(readyPeakBytes), ratio(readyPeakBytes)],
        [`peak memory, ${flags.tokens} tokens later`, megabytes(peakBytes), ratio(peakBytes)],
      ],
    ),
  );
  console.log(
    `\nReady after ${(readyMs / 1000).toFixed(1)} s, then ${msPerToken.toFixed(0)} ms a token; ` +
      `\`highrank inspect\` takes ${(median(inspectMs) / 1000).toFixed(2)} s, the start of Node.js included.`,
  );
  console.log(settingLine(started));
  if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, result });
}

async function writeRandomModel(target: string): Promise<void> {
  const sizes = MODEL_PRESETS[flags.preset];
  if (sizes === undefined) throw new Error(`no preset "${flags.preset}"`);
  const { hiddenSize, intermediateSize, numHiddenLayers: numLayers, numAttentionHeads: numHeads } = sizes;
  const shape = { hiddenSize, intermediateSize, numLayers, numHeads, vocabSize: Number(flags.vocab) };
  const config = llamaConfig({ ...shape, maxSequenceLength: 2048 });
  const tensors = [...diskParameters(new LlamaForCausalLM(config, new Rng(0)))].map(([name, { shape, size }]) => {
    const read = async () => repeatedWeights(size);
    return [name, storeAs({ dtype: "float32", shape, read }, "BF16")] as const;
  });
  const tokenizer = trainTokenizer(["The cat sat on the mat."], { vocabSize: 280, maxLength: 2048 });
  await writeModel(
    target,
    {
      config: { ...writeLlamaConfig(config), torch_dtype: "bfloat16" },
      tensors: new Map(tensors),
      files: new Map([
        ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
        ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
      ]),
    },
    { replace: true },
  );
}

/** Runs a program of Node.js to its end. */
function timeOf(script: string, ...args: string[]): { ms: number; output: string } {
  const start = performance.now();
  const output = execFileSync(process.execPath, [join(REPOSITORY, script), ...args], { encoding: "utf8" });
  return { ms: performance.now() - start, output };
}
