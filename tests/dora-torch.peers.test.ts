import { test } from "vitest";
import { DoRAAdapter } from "../src/adapters/dora-adapter.js";
import { frozenWeight } from "../src/adapters/frozen-weight.js";
import { MergeableLinear, MergeableQuantizedLinear } from "../src/adapters/mergeable-layer.js";
import { grad } from "../src/autograd/grad.js";
import { Linear } from "../src/nn/linear.js";
import { Parameter, setTraining } from "../src/nn/module.js";
import { mul, sum } from "../src/ops/index.js";
import { FourBitWeight } from "../src/quant/four-bit-weight.js";
import { Int8Weight } from "../src/quant/int8-weight.js";
import { QuantizedLinear } from "../src/quant/quantized-linear.js";
import { evaluate } from "../src/runtime/evaluate.js";
import { Rng } from "../src/tensor/random.js";
import { tensor } from "../src/tensor/tensor.js";
import { expectClose } from "./ops/close.js";
import { ask, describePeers } from "./peers/peer.js";

const [OUT, IN, RANK, ROWS] = [6, 32, 3, 5];
const rng = new Rng(5, "dora");
const random = (...shape: number[]): Float32Array =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal());
const rowsOf = (values: ArrayLike<number>, columns: number): number[][] =>
  Array.from({ length: values.length / columns }, (_, i) => Array.from(values).slice(i * columns, (i + 1) * columns));

const WEIGHT = random(OUT, IN);

function quantized(weight: FourBitWeight | Int8Weight): QuantizedLinear {
  weight.assign(WEIGHT);
  return new QuantizedLinear(weight);
}

describePeers("DoRA as PyTorch has it", () => {
  test.each([
    ["float32", () => new Linear(new Parameter(WEIGHT.slice(), [OUT, IN]))],
    ["nf4", () => quantized(new FourBitWeight([OUT, IN], { format: "nf4", blockSize: 64, doubleQuant: false }))],
    ["int8", () => quantized(new Int8Weight([OUT, IN]))],
  ] as const)("output, gradients and merged weight on a weight in %s, without and with dropout", async (_, make) => {
    for (const dropout of [0, 0.4]) {
      const linear = make();
      const frozen = frozenWeight(linear);
      const adapter = new DoRAAdapter(IN, OUT, { rank: RANK, alpha: 6, dropout }, new Rng(1), frozen);
      expectClose("start", adapter.magnitude.values, lengths(frozen.values()), 1e-6);
      const layer =
        linear instanceof Linear ? new MergeableLinear(linear, adapter) : new MergeableQuantizedLinear(linear, adapter);
      adapter.loraB.assign(random(OUT, RANK).map((value) => value / 4));
      adapter.magnitude.assign(adapter.magnitude.values.map((value, i) => value * (1 + i / 10)));
      const x = new Parameter(random(ROWS, IN), [ROWS, IN]);
      const dy = random(ROWS, OUT);
      setTraining(layer, true);
      const output = layer.forward(x);
      const wanted = [adapter.loraA, adapter.loraB, adapter.magnitude, x];
      const [y, ...gradients] = await evaluate([output, ...grad(sum(mul(output, tensor(dy, [ROWS, OUT]))), wanted)]);
      const merged = await adapter.calculateWeightUpdate().data();
      const given = {
        weight: rowsOf(frozen.values(), IN),
        loraA: rowsOf(adapter.loraA.values, IN),
        loraB: rowsOf(adapter.loraB.values, RANK),
        magnitude: [...adapter.magnitude.values],
        x: rowsOf(x.values, IN),
        dy: rowsOf(dy, OUT),
        scaling: adapter.scaling,
        mask: dropout === 0 ? null : rowsOf(await maskOf(adapter, x), IN),
      };
      const expected = await ask<Record<string, number[]>>("dora", "dora", given);
      expectClose("output", y!.data, expected.output!, 2e-6);
      ["loraA", "loraB", "magnitude", "x"].forEach((name, i) => {
        expectClose(`gradient of ${name}`, gradients[i]!.data, expected[name]!, 5e-6);
      });
      expectClose(
        "merged",
        frozen.values().map((value, i) => value + merged[i]!),
        expected.merged!,
        2e-6,
      );
    }
  });
});

function lengths(values: Float32Array): number[] {
  return rowsOf(values, IN).map((row) => Math.hypot(...row));
}

/** What dropout multiplies the input by: what a LoRA of the identity lets through. */
async function maskOf(adapter: DoRAAdapter, x: Parameter): Promise<number[]> {
  const dropped = await (adapter as unknown as { dropped(x: Parameter): typeof x }).dropped(x).data();
  return Array.from(dropped, (value, i) => value / x.values[i]!);
}

test("merged DoRA has the numbers of PEFT", async () => {
  const linear = new Linear(new Parameter(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]));
  const adapter = new DoRAAdapter(3, 2, { rank: 2, alpha: 0.5 }, new Rng(0), frozenWeight(linear));
  const layer = new MergeableLinear(linear, adapter);
  expectClose("magnitude", adapter.magnitude.values, [3.7416575, 8.77496433], 1e-6);
  adapter.loraA.assign([1, 0, -1, 0.5, 0.5, 0]);
  adapter.loraB.assign([1, 2, 0, -1]);
  await layer.mergeAdapter(new Rng(1));
  const expected = [1.4552138, 2.1828206, 2.6678917, 3.9320652, 4.9467916, 6.088359];
  expectClose("weight", layer.weight.values, expected, 1e-6);
});
