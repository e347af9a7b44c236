// How long does a token take after a cache, and how long does it take to do no more than read the bytes that it reads?
import { parseArgs } from "node:util";
import { MODEL_PRESETS } from "../src/config/presets.js";
import { LlamaForCausalLM } from "../src/models/llama.js";
import { llamaConfig } from "../src/models/llama-config.js";
import { namedParameters } from "../src/nn/module.js";
import { CachedDecoder } from "../src/programs/cached-decoder.js";
import { sampleToken } from "../src/programs/sampling.js";
import { fastestHalf } from "../src/tensor/half-array.js";
import { Rng } from "../src/tensor/random.js";
import { MemoryReader, repeatedWeights, timeOf } from "./memory-reader.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";

const { values: flags } = parseArgs({
  options: {
    models: { type: "string", default: "60m:float32,60m:bfloat16,350m:bfloat16" },
    past: { type: "string", default: "128" },
    rounds: { type: "string", default: "100" },
    vocab: { type: "string", default: "32100" },
    threads: { type: "string", default: "2" },
    out: { type: "string" },
  },
});
const [past, rounds, vocab] = [Number(flags.past), Number(flags.rounds), Number(flags.vocab)];
const machine = { device: "cpu", threads: Number(flags.threads) } as const;
const SAMPLING = { temperature: 0.8, topK: null, topP: 1 };
const WARM_UP = 5;

interface Result {
  readonly model: string;
  /** Bytes of weights and of keys and values that a token reads. */
  readonly bytes: number;
  readonly prefillMsPerToken: number;
  readonly tokenMs: number[];
  readonly readMs: number[];
}

const started = setting();
const results: Result[] = [];
for (const model of flags.models.split(",")) results.push(await measure(model));

const fixed = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
const least = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 20)]!;
console.log(
  markdownTable(
    [
      "model",
      "MB read",
      "prompt, ms a token",
      "token, ms",
      "reading, ms",
      "reading / token",
      "best 5 %: token, ms",
      "reading, ms",
      "reading / token",
    ],
    results.map(({ model, bytes, prefillMsPerToken, tokenMs, readMs }) => [
      ...[model, (bytes / 1e6).toFixed(0), fixed(prefillMsPerToken)],
      ...[median, least].flatMap((of) => {
        const [token, read] = [of(tokenMs), of(readMs)];
        return [fixed(token), fixed(read), (read / token).toFixed(2)];
      }),
    ]),
  ),
);
console.log(
  `\n${past} tokens in the cache, vocabulary ${vocab}, ${machine.threads} threads, sampling included; ${rounds} rounds in turns.`,
);
console.log(settingLine(started));
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, results });

async function measure(name: string): Promise<Result> {
  const [preset, held] = name.split(":") as [string, string];
  const model = build(preset, held);
  const decoder = new CachedDecoder(model, machine);
  await decoder.prepare(past);
  const begun = performance.now();
  let logits = await decoder.read(Array.from({ length: past }, (_, i) => (7919 * i) % vocab));
  const prefillMsPerToken = (performance.now() - begun) / past;
  await decoder.prepare(1);
  const { numLayers, hiddenSize } = model.config;
  const bytes = weightBytes(model) + 2 * numLayers * past * hiddenSize * Float32Array.BYTES_PER_ELEMENT;
  const reader = await MemoryReader.compile(bytes, hiddenSize, machine);
  const [tokenMs, readMs]: [number[], number[]] = [[], []];
  const rng = new Rng(0, "sample");
  for (let round = -WARM_UP; round < rounds; round++) {
    const ms = await timeOf(async () => {
      logits = await decoder.read([sampleToken(logits, SAMPLING, rng)]);
    });
    const alone = await reader.ms();
    if (!logits.every(Number.isFinite)) throw new Error(`${name}: the scores are not numbers`);
    if (round < 0) continue;
    tokenMs.push(ms);
    readMs.push(alone);
  }
  await decoder.release();
  await reader.release();
  return { model: name.replace(":", ", "), bytes, prefillMsPerToken, tokenMs, readMs };
}

/** A model with random weights: matrices in float32 or as bfloat16 is held. */
function build(preset: string, held: string): LlamaForCausalLM {
  const sizes = MODEL_PRESETS[preset];
  if (sizes === undefined || (held !== "float32" && held !== "bfloat16")) {
    throw new Error(`--models: must be presets with :float32 or :bfloat16, got ${preset}:${held}`);
  }
  const { hiddenSize, intermediateSize, numHiddenLayers: numLayers, numAttentionHeads: numHeads } = sizes;
  const shape = { hiddenSize, intermediateSize, numLayers, numHeads, vocabSize: vocab, maxSequenceLength: 4096 };
  const model = new LlamaForCausalLM(llamaConfig(shape), new Rng(0));
  for (const parameter of namedParameters(model).values()) {
    if (parameter.rank === 1) continue;
    const values = repeatedWeights(parameter.size);
    if (held === "float32") parameter.adopt(values);
    else parameter.hold(fastestHalf(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16)));
  }
  return model;
}

/** Of the embedding table a token reads one row. */
function weightBytes(model: LlamaForCausalLM): number {
  let bytes = 0;
  for (const parameter of namedParameters(model).values()) {
    if (parameter !== model.embedTokens.weight) bytes += parameter.size * (parameter.isHalf ? 2 : 4);
  }
  return bytes;
}
