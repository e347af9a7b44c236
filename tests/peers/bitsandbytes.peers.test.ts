import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import { nestAbsmax } from "../../src/quant/double-quantization.js";
import { quantizeFourBit } from "../../src/quant/four-bit.js";
import { createQuantizer } from "../../src/quant/quantizer.js";
import { clearEvaluationCache } from "../../src/runtime/evaluate.js";
import { Program } from "../../src/runtime/program.js";
import { tensor } from "../../src/tensor/tensor.js";
import { quantizeModel } from "../../src/verbs/quantize.js";
import { loadTarget } from "../../src/verbs/target.js";
import { drawWeights } from "../quant/golden.js";
import { ask, describePeers, realModel } from "./peer.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-bitsandbytes-"));
});
afterAll(async () => {
  await clearEvaluationCache();
  await rm(folder, { recursive: true });
});
const at = (name: string) => path.join(folder, name);

type Rows = readonly (readonly number[])[];

/** Our logits of rows, and the mean loss of their tokens. */
async function logitsOf(target: string, rows: Rows): Promise<{ logits: Float32Array; loss: number }> {
  const { model } = await loadTarget(target, { base: null, adapter: true });
  const ids = tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
  const program = await Program.compile({ logits: model.logits(ids) }, { device: "cpu", threads: 2 });
  const logits = (await program.run()).logits!.data as Float32Array;
  await program.release();
  return { logits, loss: lossOf(logits, rows) };
}

function lossOf(logits: Float32Array, rows: Rows): number {
  const [length, size] = [rows[0]!.length, logits.length / rows.flat().length];
  let nats = 0;
  rows.forEach((row, r) => {
    for (let i = 0; i + 1 < length; i++) {
      const at = logits.subarray((r * length + i) * size, (r * length + i + 1) * size);
      const most = at.reduce((a, b) => Math.max(a, b));
      nats += most + Math.log(at.reduce((sum, value) => sum + Math.exp(value - most), 0)) - at[row[i + 1]!]!;
    }
  });
  return nats / (rows.length * (length - 1));
}

/** The logits and the loss that transformers computes of a folder. */
async function theirs(model: string, rows: Rows, dequantize = false): Promise<{ logits: Float32Array; loss: number }> {
  const out = at("logits.safetensors");
  const loss = await ask<number>("quantized", "logits", { model, rows, out, dequantize });
  return { logits: (await readSafetensors(out)).tensors.get("logits")!.data as Float32Array, loss };
}

/** The largest difference of two arrays by the largest number of the second. */
function apart(ours: Float32Array, others: Float32Array): number {
  let [most, largest] = [0, 0];
  others.forEach((value, i) => {
    most = Math.max(most, Math.abs(value - ours[i]!));
    largest = Math.max(largest, Math.abs(value));
  });
  expect(ours).toHaveLength(others.length);
  return most / largest;
}

/** A model to quantize: the folder of the float model, the type to load it in, and the size of a file of it. */
interface Source {
  readonly base?: string;
  readonly dtype?: string;
  readonly shard?: string;
}
type Case = readonly [name: string, options: object, source: Source];

interface Compared {
  readonly missing: readonly string[];
  readonly kinds: Readonly<
    Record<string, { tensors: number; different: number; elements: number; apart: number; most: number }>
  >;
}

const NF4 = { load_in_4bit: true, bnb_4bit_quant_type: "nf4" };
const FP4 = { load_in_4bit: true, bnb_4bit_quant_type: "fp4" };
const NESTED = { bnb_4bit_use_double_quant: true };
const INT8 = { load_in_8bit: true };

describePeers("bitsandbytes, small models in every shape", () => {
  const ROWS: Rows = [0, 1].map((row) => Array.from({ length: 24 }, (_, i) => (7 * i * i + 3 + 31 * row) % 96));

  beforeAll(async () => {
    for (const tied of [false, true]) await ask("quantized", "tiny", { out: at(`tied-${tied}`), tied });
    await ask("quantized", "tiny", { out: at("half"), tied: true, dtype: "bfloat16" });
  });

  test.each<Case>([
    ["nf4", NF4, {}],
    ["nf4, double quantization, a tied head", { ...NF4, ...NESTED }, { base: "tied-true" }],
    ["fp4", FP4, {}],
    ["fp4, double quantization", { ...FP4, ...NESTED }, {}],
    ["nf4 stored as bfloat16", { ...NF4, bnb_4bit_quant_storage: "bfloat16" }, {}],
    ["nf4, double quantization, stored as float32", { ...NF4, ...NESTED, bnb_4bit_quant_storage: "float32" }, {}],
    ["nf4 to be computed in bfloat16", { ...NF4, bnb_4bit_compute_dtype: "bfloat16" }, {}],
    ["nf4 of bfloat16 weights", NF4, { base: "half", dtype: "bfloat16" }],
    ["nf4 in shards", NF4, { shard: "20KB" }],
    ["nf4 but for some layers", { ...NF4, llm_int8_skip_modules: ["lm_head", "q_proj", "layers.1.mlp"] }, {}],
    ["nf4 with the head", { ...NF4, llm_int8_skip_modules: ["k_proj"] }, {}],
    ["int8", INT8, {}],
    ["int8 in shards, a tied head", INT8, { base: "tied-true", shard: "20KB" }],
    ["int8 but for a layer, with the head", { ...INT8, llm_int8_skip_modules: ["v_proj"] }, {}],
    ["int8 with another threshold", { ...INT8, llm_int8_threshold: 4.5 }, {}],
  ])("%s is read", async (name, options, { base = "tied-false", dtype = "float32", shard = "1GB" }) => {
    await ask("quantized", "write", { model: at(base), out: at(name), options, dtype, shard });
    const ours = await logitsOf(at(name), ROWS);
    // Its integer products round activations, too: there, the weights are compared.
    const inHalf = dtype === "bfloat16" || "bnb_4bit_compute_dtype" in options;
    const { logits } = await theirs(at(name), ROWS, "load_in_8bit" in options);
    expect(apart(ours.logits, logits)).toBeLessThan(inHalf ? 0.05 : 1e-5);
  });

  test.each<Case>([
    ["nf4", NF4, {}],
    ["fp4", FP4, {}],
    ["int8", INT8, {}],
    ["nf4, a tied head", NF4, { base: "tied-true" }],
    ["nf4 of bfloat16 weights", { ...NF4, bnb_4bit_compute_dtype: "bfloat16" }, { base: "half", dtype: "bfloat16" }],
    ["int8 of bfloat16 weights", INT8, { base: "half", dtype: "bfloat16" }],
  ])("%s is written byte for byte", async (name, options, { base = "tied-false", dtype = "float32" }) => {
    const [mine, other] = [at(`${name} of ours`), at(`${name} of theirs`)];
    await quantizeModel(at(base), { out: mine, quantizer: createQuantizer(/^\w+/.exec(name)![0] as "nf4") });
    await ask("quantized", "write", { model: at(base), out: other, options, dtype });
    const { missing, kinds } = await ask<Compared>("quantized", "compare", { ours: mine, theirs: other });
    expect(missing).toEqual([]);
    const isInt8 = "load_in_8bit" in options;
    // torch multiplies with the reciprocal of a scale where we divide; of bfloat16 weights more come close to a tie.
    const share = dtype === "bfloat16" ? 5e-4 : 2e-4;
    for (const [kind, { different, elements, apart, most }] of Object.entries(kinds)) {
      if (isInt8 && kind === "weight") expect([apart <= share * elements, most <= 1]).toEqual([true, true]);
      else expect([kind, different]).toEqual([kind, 0]);
    }
    expect(kinds.weight!.tensors).toBeGreaterThan(14);
    // As it computes: int8 weights with rounded activations.
    const [first, second] = [await theirs(mine, ROWS), await theirs(other, ROWS)];
    if (isInt8) expect(apart(first.logits, second.logits)).toBeLessThan(0.05);
    else expect(first.logits).toEqual(second.logits);
  });

  test("scales are quantized as every backend does it; the CPU's kernel looks some up in a neighbouring place", async () => {
    const { absmax } = quantizeFourBit(drawWeights(3, 2 ** 21), { type: "nf4", blockSize: 64 });
    const { codes, offset } = nestAbsmax(absmax);
    const shape = [absmax.length];
    await writeSafetensors(
      at("scales.safetensors"),
      new Map([
        ["absmax", { dtype: "float32", shape, data: absmax }],
        ["codes", { dtype: "uint8", shape, data: codes }],
      ]),
    );
    const given = { scales: at("scales.safetensors"), offset: offset[0] };
    const found = await ask<Record<string, number>>("quantized", "nested_codes", given);
    expect(found.exact).toBe(absmax.length);
    const share = 1 - found.lookedUp! / absmax.length;
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(0.003);
  });
});

describePeers("bitsandbytes, SmolLM2-135M", () => {
  const TEXT =
    "The mill stood where two streams met, and for a hundred years it had ground the corn of six villages. When the " +
    "last miller died, his daughter took the keys from the nail behind the door and opened the sluice herself. The " +
    "wheel turned, slowly at first; then faster, until the old floor shook and dust fell from the beams like snow. ";
  let rows: Rows = [];
  let base = "";
  beforeAll(async () => {
    base = await realModel("smollm2-135m");
    rows = await ask<Rows>("quantized", "tokens", { model: base, text: TEXT.repeat(2), length: 64, count: 2 });
  });

  test.each([
    ["nf4", NF4],
    ["nf4, double quantization", { ...NF4, ...NESTED }],
    ["int8", INT8],
  ])("%s, both ways", { timeout: 300_000 }, async (name, options) => {
    const [mine, other] = [at(`smol ${name} of ours`), at(`smol ${name} of theirs`)];
    const doubleQuant = "bnb_4bit_use_double_quant" in options;
    const isInt8 = name === "int8";
    await quantizeModel(base, {
      out: mine,
      quantizer: createQuantizer(/^\w+/.exec(name)![0] as "nf4", isInt8 ? {} : { doubleQuant }),
    });
    await ask("quantized", "write", { model: base, out: other, options });
    const { missing, kinds } = await ask<Compared>("quantized", "compare", { ours: mine, theirs: other });
    expect(missing).toEqual([]);
    expect(kinds.weight!.tensors).toBeGreaterThan(200);
    for (const [kind, { different, elements, apart, most }] of Object.entries(kinds)) {
      // Theirs are looked up in a table, and depend on how the machine sums the mean.
      if (kind === "nested codes") expect(apart / elements).toBeLessThan(0.003);
      else if (kind === "nested_absmax") expect(most).toBeLessThan(5e-7);
      else if (isInt8 && kind === "weight") expect([apart <= 2e-4 * elements, most <= 1]).toEqual([true, true]);
      else expect([kind, different]).toEqual([kind, 0]);
    }
    const [we, they] = [await logitsOf(other, rows), await theirs(other, rows, isInt8)];
    expect(apart(we.logits, they.logits)).toBeLessThan(1e-4);
    expect(Math.abs(we.loss - they.loss)).toBeLessThan(1e-4);
    const [read, own] = [await theirs(mine, rows, isInt8), await logitsOf(mine, rows)];
    expect(apart(read.logits, own.logits)).toBeLessThan(1e-4);
    expect(Math.abs(read.loss - they.loss)).toBeLessThan(doubleQuant || isInt8 ? 1e-3 : 1e-6);
  });
});
