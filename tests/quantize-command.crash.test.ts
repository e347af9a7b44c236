import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { openSafetensors, readSafetensors } from "../src/files/safetensors.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { evaluateTarget } from "../src/verbs/evaluate.js";
import { quantizeModel } from "../src/verbs/quantize.js";
import { drawWeights, golden, hexOf } from "./quant/golden.js";
import { listTree, runCommand, withFolder } from "./run-command.js";
import { changeTensors, TEXT, writeSmallModel } from "./small-model.js";

const QUANTIZERS = [
  { format: "nf4", blockSize: 64, doubleQuant: false },
  { format: "nf4", blockSize: 16, doubleQuant: true },
  { format: "fp4", blockSize: 64, doubleQuant: false },
  { format: "int8", blockSize: 0, doubleQuant: false },
] as const;

const Q_PROJ = "model.layers.1.self_attn.q_proj.weight";

async function weightsOf(folder: string) {
  return readSafetensors(path.join(folder, "model.safetensors"));
}

function loss(target: string, cwd: string, base: string | null = null): Promise<number> {
  const options = { data: path.join(cwd, "a.txt"), batchSize: 2, sequenceLength: 16, maxTokens: null };
  return evaluateTarget(target, { ...options, base, adapter: true, device: "cpu", threads: 1 }).then(
    (evaluation) => evaluation.loss,
  );
}

/** What a weight stands for, straight from the tensors of its layout. */
function dequantize(tensors: ReadonlyMap<string, HostTensor>, name: string, [rows, columns]: readonly number[]) {
  const data = (suffix: string) => tensors.get(`${name}${suffix}`)?.data;
  const size = rows! * columns!;
  const codes = data("")!;
  const rowScales = tensors.get(name.replace(/weight$/, "SCB"))?.data;
  if (rowScales !== undefined) {
    return Float32Array.from({ length: size }, (_, i) => (codes[i]! * rowScales[Math.floor(i / columns!)]!) / 127);
  }
  const key = [...tensors.keys()].find((part) => part.startsWith(`${name}.quant_state`))!;
  const state = JSON.parse(new TextDecoder().decode(tensors.get(key)!.data as Uint8Array));
  const nested = data(".nested_absmax");
  const scale = (block: number): number => {
    const stored = data(".absmax")![block]!;
    if (nested === undefined) return stored;
    return data(".nested_quant_map")![stored]! * nested[Math.floor(block / 256)]! + state.nested_offset;
  };
  return Float32Array.from({ length: size }, (_, i) => {
    const byte = codes[i >> 1]!;
    return data(".quant_map")![i % 2 === 0 ? byte >> 4 : byte & 15]! * scale(Math.floor(i / state.blocksize));
  });
}

test.each(["nf4", "fp4"] as const)(
  "a layer's weight is packed to %s byte for byte as by bitsandbytes",
  async (format) => {
    const known = golden.randomFourBit.find((one) => one.type === format && one.length === 256)!;
    await withFolder({}, async (cwd) => {
      const [model, out] = [path.join(cwd, "model"), path.join(cwd, "q")];
      const weights = drawWeights(known.seed, known.length);
      await writeSmallModel(model, { change: (tensors) => tensors.get(Q_PROJ)!.data.set(weights) });
      await quantizeModel(model, { out, quantizer: { format, blockSize: known.blockSize, doubleQuant: false } });
      const { tensors } = await weightsOf(out);
      expect(hexOf(tensors.get(Q_PROJ)!.data)).toBe(known.packed);
      expect(hexOf(tensors.get(`${Q_PROJ}.absmax`)!.data)).toBe(known.absmax);
    });
  },
);

test.each(QUANTIZERS)(
  "a folder in $format ($blockSize, $doubleQuant) evaluates as its dequantized weights do",
  async (quantizer) => {
    await withFolder({ "a.txt": TEXT }, async (cwd) => {
      const [model, out] = [path.join(cwd, "model"), path.join(cwd, "q")];
      await writeSmallModel(model);
      const { layers, relativeError, layerBytes } = await quantizeModel(model, { out, quantizer });
      const [before, after] = [await weightsOf(model), await weightsOf(out)];
      let [squares, errors] = [0, 0];
      for (const { name, ...error } of layers) {
        const { data: exact, shape } = before.tensors.get(`${name}.weight`)!;
        const rounded = dequantize(after.tensors, `${name}.weight`, shape);
        const differences = rounded.map((value, i) => Math.abs(value - exact[i]!));
        const sum = (values: ArrayLike<number>) => Array.from(values).reduce((total, value) => total + value ** 2, 0);
        [squares, errors] = [squares + sum(exact), errors + sum(differences)];
        expect(error.relativeError).toBeCloseTo(Math.sqrt(sum(differences) / sum(exact)), 6);
        expect(error.largestError).toBeCloseTo(Math.max(...differences), 6);
      }
      expect(layers).toHaveLength(14);
      expect(relativeError).toBeCloseTo(Math.sqrt(errors / squares), 6);
      expect(relativeError).toBeGreaterThan(0);
      expect(layerBytes.before).toBe(2 * (4 * 16 * 16 + 3 * 16 * 24) * 4);
      const isCounted = (name: string) => /_proj\.(weight(\.(nested_)?absmax|\.nested_quant_map)?|SCB)$/.test(name);
      const parts = [...after.tensors].filter(([name]) => isCounted(name)).map(([, { data }]) => data.byteLength);
      const offsets = quantizer.doubleQuant ? 14 * 4 : 0;
      expect(layerBytes.after).toBe(parts.reduce((sum, bytes) => sum + bytes, offsets));

      const quantized = await loss(out, cwd);
      expect(Math.abs(quantized - (await loss(model, cwd)))).toBeGreaterThan(1e-6);
      await changeTensors(model, (tensors) => {
        for (const { name } of layers) {
          const { data, shape } = tensors.get(`${name}.weight`)!;
          data.set(dequantize(after.tensors, `${name}.weight`, shape));
        }
      });
      expect(Math.abs(quantized - (await loss(model, cwd)))).toBeLessThan(1e-5);
    });
  },
);

test("what is not quantized keeps its bytes and its type; config.json says what transformers says", async () => {
  await withFolder({}, async (cwd) => {
    const [model, out] = [path.join(cwd, "model"), path.join(cwd, "q")];
    await writeSmallModel(model, { fileType: "BF16" });
    await quantizeModel(model, { out, quantizer: { format: "nf4", blockSize: 64, doubleQuant: true } });
    const [before, after] = await Promise.all(
      [model, out].map((folder) => openSafetensors(path.join(folder, "model.safetensors"))),
    );
    const kept = [...before!.tensors].filter(([name]) => !name.endsWith("_proj.weight"));
    expect(kept).toHaveLength(7);
    for (const [name, tensor] of kept) {
      const copy = after!.tensors.get(name)!;
      expect(copy.fileType).toBe("BF16");
      expect(await copy.readBytes()).toEqual(await tensor.readBytes());
    }
    const state = await after!.tensors.get(`${Q_PROJ}.quant_state.bitsandbytes__nf4`)!.readBytes();
    expect(JSON.parse(new TextDecoder().decode(state))).toMatchObject({ dtype: "bfloat16", shape: [16, 16] });
    const json = async (folder: string) => JSON.parse(await readFile(path.join(folder, "config.json"), "utf8"));
    const known = JSON.parse(await readFile(new URL("golden/quantization-config.json", import.meta.url), "utf8"));
    expect(await json(out)).toEqual({ ...(await json(model)), ...JSON.parse(known.nf4) });
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      expect(await readFile(path.join(out, name))).toEqual(await readFile(path.join(model, name)));
    }
  });
});

test("the command prints the error of each layer, or one object, within 80 columns", async () => {
  await withFolder({}, async (cwd) => {
    await writeSmallModel(path.join(cwd, "model"));
    const text = await runCommand(["quantize", "model", "--to", "nf4", "--double-quant", "--out", "text"], { cwd });
    expect(text.stderr).toBe("");
    expect(text.code).toBe(0);
    const lines = text.stdout.split("\n");
    expect(lines[0]).toBe("layer                            relative error  largest error");
    expect(lines[1]).toMatch(/^model\.layers\.0\.self_attn\.q_proj {2,}\d+\.\d\d% {2,}0\.\d+$/);
    expect(lines.filter((line) => line.includes("_proj "))).toHaveLength(14);
    expect(text.stdout).toMatch(/\nall layers {2,}\d+\.\d\d% {2,}0\.\d+\n/);
    expect(text.stdout).toContain("\nquantized  14 layers to nf4 in blocks of 64, double quantization\n");
    expect(text.stdout).toMatch(
      /\nfiles {6}\d\S* KiB -> \d\S* KiB\nwrote {6}text\n\nNext: highrank generate text --prompt .*\n$/,
    );
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);

    const json = await runCommand(["quantize", "model", "--to", "int8", "--out", "json", "--json"], { cwd });
    const result = JSON.parse(json.stdout);
    expect(result).toMatchObject({ modelFolder: "json", quantizer: "int8 by row" });
    expect(result.layers[0].name).toBe("model.layers.0.self_attn.q_proj");
    expect(result.fileBytes.after).toBeLessThan(result.fileBytes.before);

    const help = await runCommand(["quantize", "--help"], { cwd, env: { COLUMNS: "80" } });
    expect(help.stdout).toContain("--to <nf4|fp4|int8>");
    expect(Math.max(...help.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

test("a quantized folder trains, evaluates, writes text, and says what it is", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    await writeSmallModel(path.join(cwd, "model"));
    for (const args of [
      ["quantize", "model", "--to", "nf4", "--out", "q"],
      "train --model q --method lora --data a.txt --rank 4 --batch-size 2 --sequence-length 16 --max-steps 4 --out run".split(
        " ",
      ),
    ]) {
      expect(await runCommand(args, { cwd })).toMatchObject({ code: 0, stderr: "" });
    }
    expect(await listTree(path.join(cwd, "run/base"))).toContain("model.safetensors");
    const packed = await readFile(path.join(cwd, "q/model.safetensors"));
    expect((await readFile(path.join(cwd, "run/base/model.safetensors"))).equals(packed)).toBe(true);
    const args = (...more: string[]) => ["eval", "--data", "a.txt", "--json", ...more];
    const lossOf = async (...more: string[]): Promise<number> => {
      const { stdout, code } = await runCommand(args(...more), { cwd });
      expect(code).toBe(0);
      return JSON.parse(stdout).loss;
    };
    const adapted = await lossOf("run/adapter", "--base", "q");
    expect(adapted).toBeLessThan(await lossOf("q"));
    // The finished model has the exact sum; no cycle came after it, so that the packed base with its adapter is the same.
    expect(Math.abs(adapted - (await lossOf("run")))).toBeLessThan(1e-5);
    expect(await lossOf("run", "--adapter", "none")).toBe(await lossOf("q"));
    const generated = await runCommand(["generate", "q", "--prompt", "The cat", "--max-new-tokens", "3"], { cwd });
    expect(generated.code).toBe(0);

    const folder = await runCommand(["inspect", "q"], { cwd });
    expect(folder.stdout).toContain("quantized                               format  block  shape     bits");
    expect(folder.stdout).toContain("model.layers.0.self_attn.q_proj.weight  nf4        64  (16, 16)  4.50");
    expect(folder.stdout).not.toContain("absmax");
    const inspected = JSON.parse((await runCommand(["inspect", "q", "--json"], { cwd })).stdout);
    expect(inspected.quantized).toHaveLength(14);
    expect(inspected.quantized[0]).toEqual({
      name: "model.layers.0.mlp.down_proj.weight",
      format: "nf4",
      blockSize: 64,
      doubleQuant: false,
      shape: [16, 24],
      bitsPerWeight: 4.5,
    });
    expect(inspected.parameters).toBe(2 * 280 * 16 + 2 * (4 * 16 * 16 + 3 * 16 * 24 + 2 * 16) + 16);
    const run = await runCommand(["inspect", "run"], { cwd });
    const adapter = await runCommand(["inspect", "run/adapter"], { cwd });
    expect(adapter.stdout).toMatch(/\n {2}alpha_pattern +\{\}\n/);
    expect(adapter.stdout).toMatch(/\n {2}base_quantizer +nf4 in blocks of 64\n {2}base_sha256 +[0-9a-f]{64}\n/);
    expect(run.stdout).toMatch(/\n {2}frozen {7}nf4 in blocks of 64, merge policy \w+/);
  });
});
