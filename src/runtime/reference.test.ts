import { describe, expect, test } from "vitest";
import { add, cast, div, mul } from "../ops/index.js";
import { placeholder, tensor } from "../tensor/tensor.js";
import { interpret } from "./reference.js";

const x = placeholder("x", [2]);

describe("interpret", () => {
  test("computes in float32 by default and in float64 when asked", () => {
    const third = div(x, 3);
    const feeds = { x: [1, 2] };
    expect(interpret([third], { feeds })[0]).toEqual(Float32Array.of(1 / 3, 2 / 3));
    expect(interpret([third], { feeds, precision: "float64" })[0]).toEqual(Float64Array.of(1 / 3, 2 / 3));
  });

  test("keeps integers and flags what they are", () => {
    const ids = placeholder("ids", [2], "int32");
    const [sum, flags] = interpret([add(ids, 1), cast(ids, "bool")], { feeds: { ids: [0, 7] }, precision: "float64" });
    expect(sum).toEqual(Int32Array.of(1, 8));
    expect(flags).toEqual(Uint8Array.of(0, 1));
  });

  test("does not change the arrays that it reads", () => {
    const array = Float32Array.of(1, 2);
    interpret([mul(tensor(array), 5)]);
    expect(array).toEqual(Float32Array.of(1, 2));
  });

  test("names the placeholder that has no values", () => {
    expect(() => interpret([mul(x, 2)])).toThrow('no values for placeholder "x"');
  });
});
