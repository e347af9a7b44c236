import { describe, expect, test } from "vitest";
import { add } from "../ops/elementwise.js";
import { concat, reshape, transpose } from "../ops/movement.js";
import { createSession } from "../runtime/session.js";
import { placeholder } from "../tensor/tensor.js";
import { compileGraph } from "./compile.js";
import { DynamicSizes, primeFrom } from "./dynamic-sizes.js";
import { sizeName } from "./emitter.js";
import { PORTABLE_ENCODING, PORTABLE_PROFILE } from "./lower-portable.js";
import { encodeModel, type OnnxNode } from "./onnx-model.js";

describe("DynamicSizes", () => {
  const sizes = new DynamicSizes({ rows: 1009, columns: 1013 });

  test("a size is a number times sizes that a run decides", () => {
    expect(sizes.factor(12)).toEqual({ fixed: 12, names: [] });
    expect(sizes.factor(0)).toEqual({ fixed: 0, names: [] });
    expect(sizes.factor(1009 * 1013 * 1013 * 6)).toEqual({ fixed: 6, names: ["rows", "columns", "columns"] });
  });

  test("a shape is declared by names", () => {
    expect(sizes.declare([1013, 4, 8 * 1009])).toEqual(["columns", 4, "8 * rows"]);
  });

  test("stand-ins are primes that are accepted", () => {
    expect(primeFrom(1000, (prime) => prime !== 1009)).toBe(1013);
    expect(primeFrom(0, () => true)).toBe(2);
  });
});

test("one model runs with any number of rows and columns, even none", async () => {
  const [rows, columns] = [1009, 1013];
  const sizes = new DynamicSizes({ rows, columns });
  const x = placeholder("x", [rows, columns * 2]);
  const y = placeholder("y", [columns, rows, 2]);
  const flat = reshape(transpose(y, [1, 0, 2]), [rows, columns * 2]);
  const outputs = { z: reshape(concat([add(x, flat), x], 1), [rows * columns, 4]) };
  const { graph } = compileGraph(outputs, PORTABLE_PROFILE, { sizes, order: "topological" });
  const sizeOf = (name: string, axis: number): OnnxNode => ({
    opType: "Shape",
    inputs: ["input:y"],
    outputs: [sizeName(name)],
    attributes: { start: { int: axis }, end: { int: axis + 1 } },
  });
  const declare = <T extends { readonly shape: readonly number[] }>(info: T) => ({
    ...info,
    shape: sizes.declare(info.shape),
  });
  const model = encodeModel(
    {
      ...graph,
      nodes: [sizeOf("columns", 0), sizeOf("rows", 1), ...graph.nodes],
      inputs: graph.inputs.map(declare),
      outputs: graph.outputs.map(declare),
    },
    PORTABLE_ENCODING,
  );
  const session = await createSession(model, { device: "cpu", threads: 1 });
  for (const [m, n] of [
    [1, 1],
    [2, 3],
    [3, 2],
    [0, 4],
  ] as const) {
    const value = (index: number) => index + 1;
    const feeds = {
      "input:x": {
        dtype: "float32",
        shape: [m, 2 * n],
        data: Float32Array.from({ length: 2 * m * n }, (_, i) => value(i)),
      },
      "input:y": {
        dtype: "float32",
        shape: [n, m, 2],
        data: Float32Array.from({ length: 2 * m * n }, (_, i) => 100 * i),
      },
    } as const;
    const { z } = await session.run(feeds, ["z"]);
    expect(z!.shape).toEqual([m * n, 4]);
    const expected: number[] = [];
    for (let row = 0; row < m; row++) {
      const own = Array.from({ length: 2 * n }, (_, i) => value(row * 2 * n + i));
      const other = Array.from({ length: 2 * n }, (_, i) => 100 * ((Math.floor(i / 2) * m + row) * 2 + (i % 2)));
      expected.push(...own.map((each, i) => each + other[i]!), ...own);
    }
    expect([...z!.data]).toEqual(expected);
  }
  await session.release();
});
