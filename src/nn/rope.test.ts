import { describe, expect, test } from "vitest";
import { rotary } from "../ops/index.js";
import { interpret } from "../runtime/reference.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { rotaryAngles, rotaryFrequencies } from "./rope.js";

describe("rotary positions", () => {
  test("turn pair i at position p by p · theta^(−2i / headDim)", () => {
    const { cos, sin } = rotaryAngles(3, { headDim: 4, theta: 100 });
    const [c, s] = interpret([cos, sin], { precision: "float64" });
    const angles = [0, 0, 1, 0.1, 2, 0.2];
    angles.forEach((angle, i) => {
      expect(c![i]).toBeCloseTo(Math.cos(angle), 6);
      expect(s![i]).toBeCloseTo(Math.sin(angle), 6);
    });
  });

  test("make the product of two vectors depend on their distance alone", () => {
    const [time, headDim] = [8, 6];
    const { cos, sin } = rotaryAngles(time, { headDim, theta: 10_000 });
    const repeated = (purpose: string) => {
      const rng = new Rng(9, purpose);
      const row = Float32Array.from({ length: headDim }, () => 2 * rng.normal());
      return tensor(
        Float32Array.from({ length: time * headDim }, (_, i) => row[i % headDim]!),
        [1, time, headDim],
      );
    };
    const [q, k] = interpret([rotary(repeated("q"), cos, sin), rotary(repeated("k"), cos, sin)], {
      precision: "float64",
    });
    const product = (t: number, s: number) => {
      let total = 0;
      for (let d = 0; d < headDim; d++) total += q![t * headDim + d]! * k![s * headDim + d]!;
      return total;
    };
    for (const distance of [0, 1, 3]) {
      for (let s = 1; s + distance < time; s++) {
        expect(product(s + distance, s)).toBeCloseTo(product(distance, 0), 5);
      }
    }
    expect(Math.abs(product(3, 0) - product(0, 0))).toBeGreaterThan(0.1);
  });
});

describe("scaling", () => {
  test("linear: every pair turns slower by the factor", () => {
    const plain = rotaryFrequencies({ headDim: 6, theta: 100 }, 1);
    const scaled = rotaryFrequencies({ headDim: 6, theta: 100, scaling: { kind: "linear", factor: 4 } }, 1);
    expect([...scaled]).toEqual([...plain].map((frequency) => frequency / 4));
  });

  test("llama3: pairs that turn often stay, those that turn seldom are slowed down, those between in part", () => {
    // Pairs turn once in 2π, 20π, 200π and 2000π tokens, so 50, 5, 0.5 and 0.05 times within 100π.
    const plain = rotaryFrequencies({ headDim: 8, theta: 10_000 }, 1);
    const scaling = { kind: "llama3", factor: 8, originalLength: 100 * Math.PI, seldom: 1, often: 6 } as const;
    const scaled = rotaryFrequencies({ headDim: 8, theta: 10_000, scaling }, 1);
    [1, 0.8 + 0.2 / 8, 1 / 8, 1 / 8].forEach((share, i) => {
      expect(scaled[i]! / plain[i]!).toBeCloseTo(share, 12);
    });
  });
});
