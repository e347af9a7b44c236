import { afterEach, describe, expect, test } from "vitest";
import { ConfigError, ShapeError } from "../base/errors.js";
import { add, cast, constant, less, matmul, mul, sub } from "../ops/index.js";
import { computeTogether, placeholder, type Tensor, tensor } from "../tensor/tensor.js";
import { Program } from "./program.js";

const programs: Program[] = [];

async function compile(outputs: Record<string, Tensor>): Promise<Program> {
  const program = await Program.compile(outputs, { device: "cpu", threads: 2 });
  programs.push(program);
  return program;
}

afterEach(async () => {
  for (const program of programs.splice(0)) await program.release();
});

const x = placeholder("x", [3]);

describe("a program", () => {
  test("computes every output into new arrays, for the feeds of each run", async () => {
    const program = await compile({ doubled: mul(x, 2), isSmall: less(x, 2), x, one: constant(1) });
    const first = await program.run({ x: Float32Array.of(1, 2, 3) });
    const second = await program.run({ x: Float32Array.of(4, 5, 6) });
    expect(first).toEqual({
      doubled: { dtype: "float32", shape: [3], data: Float32Array.of(2, 4, 6) },
      isSmall: { dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 0) },
      x: { dtype: "float32", shape: [3], data: Float32Array.of(1, 2, 3) },
      one: { dtype: "float32", shape: [], data: Float32Array.of(1) },
    });
    expect(second.doubled!.data).toEqual(Float32Array.of(8, 10, 12));
  });

  test("reads data leaves anew at each run", async () => {
    const array = Float32Array.of(1, 1, 1);
    const program = await compile({ y: add(x, tensor(array)) });
    const feeds = { x: Float32Array.of(1, 2, 3) };
    expect((await program.run(feeds)).y!.data).toEqual(Float32Array.of(2, 3, 4));
    array.fill(10);
    expect((await program.run(feeds)).y!.data).toEqual(Float32Array.of(11, 12, 13));
  });

  test("computes an output that is part of another output's fused product", async () => {
    const [a, b] = [tensor([1, 2, 3, 4], [2, 2]), tensor([5, 6, 7, 8], [2, 2])];
    const product = matmul(a, b);
    const program = await compile({ product, scaled: mul(product, 2), total: add(mul(matmul(a, b), -1), product) });
    const { product: p, scaled, total } = await program.run();
    expect(p!.data).toEqual(Float32Array.of(19, 22, 43, 50));
    expect(scaled!.data).toEqual(Float32Array.of(38, 44, 86, 100));
    expect(total!.data).toEqual(new Float32Array(4));
  });

  test("gives the same values whatever is computed together", async () => {
    const y = mul(x, 3);
    const [late, scalar] = [sub(y, 1), cast(less(y, 4), "float32")];
    const outputs = { y, late, scalar };
    const feeds = { x: Float32Array.of(1, 2, 3) };
    const before = await (await compile(outputs)).run(feeds);
    computeTogether(y, [late, scalar]);
    expect(await (await compile(outputs)).run(feeds)).toEqual(before);
  });

  test("updates the arrays that it is fed, in place", async () => {
    const step = placeholder("step", [3]);
    const program = await compile({ updated: sub(x, step) });
    const weight = Float32Array.of(1, 2, 3);
    for (let i = 0; i < 2; i++)
      await program.runInto({ x: weight, step: Float32Array.of(1, 1, 1) }, { updated: weight });
    expect(weight).toEqual(Float32Array.of(-1, 0, 1));
  });

  test("says which values are missing or wrong in number", async () => {
    const program = await compile({ y: mul(x, 2) });
    await expect(async () => program.run()).rejects.toThrow(ConfigError);
    await expect(async () => program.run()).rejects.toThrow('no values for placeholder "x" (3)');
    await expect(async () => program.run({ x: new Float32Array(2) })).rejects.toThrow(ShapeError);
    await expect(async () => program.run({ x: new Float32Array(2) })).rejects.toThrow("needs 3 values, got 2");
    await expect(program.runInto({ x: new Float32Array(3) }, {})).rejects.toThrow('no array for output "y"');
  });
});
