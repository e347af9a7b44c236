import { describe, expect, test } from "vitest";
import { add, matmul, mul } from "../ops/index.js";
import { reachable } from "../tensor/graph.js";
import { computeTogether, placeholder, type Tensor } from "../tensor/tensor.js";
import { fuseProducts } from "./fuse.js";

const [a, b, c] = [placeholder("a", [2, 3]), placeholder("b", [3, 4]), placeholder("c", [2, 4])];

function fuse(...outputs: Tensor[]) {
  return fuseProducts(reachable(outputs), outputs);
}

describe("fuseProducts", () => {
  test("takes a scaling and then an addition into one product", () => {
    const product = matmul(a, b);
    const scaled = mul(mul(product, 3), 0.5);
    const total = add(c, scaled);
    const { products, absorbed } = fuse(total);
    expect([...products]).toEqual([[total, { a, b, transposeA: false, transposeB: false, alpha: 1.5, c }]]);
    expect(absorbed.has(product) && absorbed.has(scaled)).toBe(true);
  });

  test("makes the earlier of two products the addend of the later", () => {
    const [first, second] = [matmul(a, b), matmul(a, b)];
    for (const total of [add(first, second), add(second, first)]) {
      const { products, absorbed } = fuse(total);
      expect(products.get(total)!.c).toBe(first);
      expect(products.has(first)).toBe(true);
      expect([...absorbed]).toEqual([second]);
    }
  });

  test.each([
    ["others read", (product: Tensor) => [mul(product, 2), add(product, 1)]],
    ["is an output itself", (product: Tensor) => [mul(product, 2), product]],
    ["is added to itself", (product: Tensor) => [add(product, product)]],
  ])("leaves alone a product that %s", (_, use) => {
    const product = matmul(a, b);
    const { products, absorbed } = fuse(...use(product));
    expect([...products.keys()]).toEqual([product]);
    expect(absorbed.size).toBe(0);
  });

  test("leaves a product alone that must be computed together with another tensor", () => {
    const product = matmul(a, b);
    const anchor = mul(c, 2);
    computeTogether(anchor, [product]);
    const { absorbed } = fuse(anchor, mul(product, 2));
    expect(absorbed.size).toBe(0);
  });

  test("does not scale a product with an addend, nor by a tensor that is not constant", () => {
    const total = add(matmul(a, b), c);
    expect([...fuse(mul(total, 2)).products.keys()]).toEqual([total]);
    expect(fuse(mul(matmul(a, b), c)).absorbed.size).toBe(0);
  });

  test("takes an addend for matrices only, and only of the product's own shape", () => {
    const [batched, offset] = [placeholder("batched", [5, 2, 3]), placeholder("offset", [5, 2, 4])];
    expect(fuse(add(matmul(batched, b), offset)).absorbed.size).toBe(0);
    expect(fuse(add(matmul(a, b), placeholder("row", [4]))).absorbed.size).toBe(0);
    expect(fuse(mul(matmul(batched, b), 2)).absorbed.size).toBe(1);
  });
});
