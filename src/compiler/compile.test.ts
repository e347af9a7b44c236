import { describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { checkpoint } from "../autograd/recompute.js";
import { ConfigError } from "../base/errors.js";
import { add, constant, exp, matmul, matmulFourBit, mul, rmsNorm, sigmoid, sub, sum } from "../ops/index.js";
import { computeTogether, placeholder, type Tensor, tensor } from "../tensor/tensor.js";
import { compileGraph, PROFILES } from "./compile.js";
import { executionOrder } from "./order.js";

const x = placeholder("x", [4]);

function operators(outputs: Record<string, Tensor>, device: "cpu" | "webgpu" = "cpu"): string[] {
  return compileGraph(outputs, PROFILES[device]).graph.nodes.map(({ opType }) => opType);
}

/** Indices in the execution order of the nodes that make `names`. */
function positions(outputs: Record<string, Tensor>, names: readonly string[]): number[] {
  const { nodes } = compileGraph(outputs, PROFILES.cpu).graph;
  const order = executionOrder(nodes);
  return names.map((name) => order.findIndex((index) => nodes[index]!.outputs.includes(name)));
}

/** A linear layer with a 4-bit weight (8, 8) and an adapter of rank 2. */
function quantizedLayer(i: number): { forward: (x: Tensor) => Tensor; adapter: Tensor[] } {
  const [packed, absmax] = [placeholder(`packed${i}`, [32], "uint8"), placeholder(`absmax${i}`, [1])];
  const [a, b] = [placeholder(`a${i}`, [2, 8]), placeholder(`b${i}`, [8, 2])];
  const forward = (x: Tensor): Tensor => {
    const base = matmulFourBit(x, packed, absmax, { type: "nf4", blockSize: 64, shape: [8, 8] });
    return add(base, mul(matmul(matmul(x, a, { transposeB: true }), b, { transposeB: true }), 2));
  };
  return { forward, adapter: [a, b] };
}

describe("compileGraph", () => {
  test("names inputs after leaves and outputs after keys", () => {
    const weight = tensor([1, 2, 3, 4]);
    const { graph, leaves } = compileGraph({ total: sum(mul(x, weight)) }, PROFILES.cpu);
    expect(graph.inputs.map(({ dtype, shape }) => [dtype, shape])).toEqual([
      ["float32", [4]],
      ["float32", [4]],
    ]);
    expect(new Set(leaves.values())).toEqual(new Set([x, weight]));
    expect([...leaves.keys()]).toEqual(graph.inputs.map(({ name }) => name));
    expect(graph.outputs).toEqual([{ name: "total", dtype: "float32", shape: [] }]);
  });

  test("computes a shared value once, and an unused value never", () => {
    const shared = exp(x);
    sigmoid(shared);
    expect(operators({ y: mul(shared, shared), z: add(shared, 1) }).sort()).toEqual(["Add", "Exp", "Mul"]);
  });

  test("copies an output only if it is an input, a constant or given twice", () => {
    const y = exp(x);
    expect(operators({ y })).toEqual(["Exp"]);
    expect(operators({ y, again: y, x, one: constant(1) }).sort()).toEqual(["Exp", "Identity", "Identity", "Identity"]);
  });

  test("refuses two placeholders of one name", () => {
    const outputs = { y: add(placeholder("x", [1]), placeholder("x", [1])) };
    expect(() => compileGraph(outputs, PROFILES.cpu)).toThrow(ConfigError);
    expect(() => compileGraph(outputs, PROFILES.cpu)).toThrow(/two placeholders have one name, input:x/);
  });

  test("keeps apart placeholders and outputs of one name, and refuses names of inner values", () => {
    const { graph } = compileGraph({ x: exp(exp(x)) }, PROFILES.cpu);
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(["Exp", "Exp"]);
    for (const output of ["%0", "input:x"]) {
      expect(() => compileGraph({ [output]: exp(exp(x)) }, PROFILES.cpu)).toThrow(ConfigError);
      expect(() => compileGraph({ [output]: exp(exp(x)) }, PROFILES.cpu)).toThrow(`got ${output}`);
    }
  });

  test("multiplies by a 4-bit weight in one kernel, and its product is the addend of another", () => {
    const outputs = { y: quantizedLayer(0).forward(placeholder("rows", [3, 8])) };
    for (const device of ["cpu", "webgpu"] as const) {
      expect(operators(outputs, device).sort()).toEqual(["Gemm", "Gemm", "MatMulBnb4"]);
    }
  });

  test("gives the gradient of a norm the inverse root mean square that the norm computed, on the CPU", () => {
    const [rows, weight] = [placeholder("rows", [2, 4]), placeholder("weight", [4])];
    const loss = sum(rmsNorm(rows, weight, 1e-6));
    const outputs = { loss, gradient: grad(loss, [rows])[0]! };
    expect(operators(outputs)).not.toContain("Sqrt");
    expect(operators(outputs, "webgpu")).toContain("Sqrt");
    expect(operators(outputs, "webgpu")).not.toContain("SimplifiedLayerNormalization");
  });
});

describe("the order of a compiled graph", () => {
  test("computes companions right after their anchor, before work that was created earlier", () => {
    const anchor = exp(x);
    const rest = sum(sigmoid(sigmoid(anchor)));
    const companion = sub(anchor, 3);
    const outputs = { rest, companion };
    const [late, early] = positions(outputs, ["companion", "rest"]);
    expect(late).toBeGreaterThan(early!);
    computeTogether(anchor, [companion]);
    const [companionAt, restAt] = positions(outputs, ["companion", "rest"]);
    expect(companionAt).toBeLessThan(restAt!);
  });

  test("recomputes a layer only when the backward pass reaches it", () => {
    const weights = [0, 1, 2].map((i) => placeholder(`weight${i}`, [4, 4]));
    let h = placeholder("h", [3, 4]);
    for (const weight of weights) h = checkpoint((input: Tensor) => sigmoid(matmul(input, weight)), h);
    const loss = sum(mul(h, h));
    const gradients = grad(loss, weights);
    const { nodes } = compileGraph(
      { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`d${i}`, gradient])) },
      PROFILES.cpu,
    ).graph;
    const run = executionOrder(nodes).map((index) => nodes[index]!);
    const sigmoids = run.flatMap(({ opType }, at) => (opType === "Sigmoid" ? [at] : []));
    const gradientAt = (i: number) => run.findIndex(({ outputs }) => outputs.includes(`d${i}`));
    expect(sigmoids).toHaveLength(6);
    // The first layer is recomputed after the last layer's gradient.
    expect(gradientAt(2)).toBeLessThan(gradientAt(1));
    expect(gradientAt(1)).toBeLessThan(gradientAt(0));
    expect(sigmoids[4]).toBeGreaterThan(gradientAt(2));
    expect(sigmoids[5]).toBeGreaterThan(gradientAt(1));
  });

  test.each([false, true])(
    "dequantizes a 4-bit weight right before its gradient, checkpointing: %s",
    (isRecomputed) => {
      const layers = [0, 1, 2].map(quantizedLayer);
      let h = placeholder("h", [3, 8]);
      for (const { forward } of layers) {
        const layer = (x: Tensor) => sigmoid(forward(x));
        h = isRecomputed ? checkpoint(layer, h) : layer(h);
      }
      const gradients = grad(
        sum(h),
        layers.flatMap(({ adapter }) => adapter),
      );
      const outputs = Object.fromEntries(gradients.map((gradient, i) => [`d${i}`, gradient]));
      const { nodes } = compileGraph(outputs, PROFILES.cpu).graph;
      const run = executionOrder(nodes).map((index) => nodes[index]!);
      const dequantized = run.flatMap((node, at) =>
        node.opType === "MatMulBnb4" && (node.attributes!.K as { int: number }).int === 1 ? [at] : [],
      );
      expect(dequantized.map((at) => run[at]!.inputs[1])).toEqual(["input:packed2", "input:packed1"]);
      for (const at of dequantized) {
        expect(run.slice(at + 1, at + 3).map(({ opType }) => opType)).toEqual(["Reshape", "Gemm"]);
        expect(run[at + 1]!.inputs[0]).toBe(run[at]!.outputs[0]);
        expect(run[at + 2]!.inputs[1]).toBe(run[at + 1]!.outputs[0]);
        expect(run.filter(({ inputs }) => inputs.includes(run[at + 1]!.outputs[0]!))).toHaveLength(1);
      }
    },
  );
});
