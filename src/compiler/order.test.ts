import { describe, expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import { executionOrder, type OrderedNode, orderForExecution, peakBytes } from "./order.js";

/** A node named for its one output, `"c: a b"` reading a and b. */
function parse(line: string): OrderedNode {
  const [output = "", inputs = ""] = line.split(":");
  return { inputs: inputs.split(" ").filter(Boolean), outputs: [output.trim()] };
}

const names = (nodes: readonly OrderedNode[], order: readonly number[]): string =>
  order.map((index) => nodes[index]!.outputs[0]).join(" ");

function shuffled(rng: Rng, count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Nodes that each read one to three earlier values, near ones more often, as in a network. */
function randomNodes(rng: Rng, count: number): OrderedNode[] {
  return Array.from({ length: count }, (_, i) => {
    const inputs = Array.from({ length: 1 + rng.below(3) }, () => `v${i - 1 - rng.below(rng.below(2) ? 4 : i + 1)}`);
    return { inputs, outputs: [`v${i}`] };
  });
}

describe("executionOrder", () => {
  test("runs the leaf that is last in the file first, with all it needs", () => {
    const nodes = ["a: x", "b: x", "c: a", "d: b"].map(parse);
    expect(names(nodes, executionOrder(nodes))).toBe("b d a c");
  });

  test("enters the producer that is last in the file first, whatever the order of the inputs", () => {
    const nodes = ["a: x", "b: x", "c: a b"].map(parse);
    expect(names(nodes, executionOrder(nodes))).toBe("b a c");
  });

  test("runs a file written backwards all the same", () => {
    const nodes = ["c: b", "b: a", "a: x"].map(parse);
    expect(names(nodes, executionOrder(nodes))).toBe("a b c");
  });

  test("orders a chain deeper than the call stack", () => {
    const nodes = Array.from({ length: 100_000 }, (_, i) => ({ inputs: [`v${i - 1}`], outputs: [`v${i}`] }));
    expect(executionOrder(nodes)).toEqual(nodes.map((_, i) => i));
  });
});

describe("orderForExecution", () => {
  test("meets nearly every order that a depth-first search can give", () => {
    let met = 0;
    for (let seed = 0; seed < 300; seed++) {
      const rng = new Rng(seed);
      const nodes = randomNodes(rng, 3 + rng.below(40));
      const someFile = shuffled(rng, nodes.length);
      const desired = executionOrder(someFile.map((index) => nodes[index]!)).map((index) => someFile[index]!);
      const file = orderForExecution(nodes, desired);
      expect([...file].sort((a, b) => a - b)).toEqual([...nodes.keys()]);
      const runs = executionOrder(file.map((index) => nodes[index]!)).map((index) => file[index]!);
      if (runs.join() === desired.join()) met++;
    }
    expect(met).toBeGreaterThanOrEqual(295);
  });

  test("runs a node that nothing needs yet just before its reader", () => {
    const nodes = ["early: x", "a: x", "b: a", "late: early b"].map(parse);
    const branches = [...nodes, parse("c: a")];
    const file = orderForExecution(branches, [0, 1, 4, 2, 3]).map((index) => branches[index]!);
    expect(names(file, executionOrder(file))).toBe("a c early b late");
  });

  test("does not enter a producer directly that is due later on a longer path", () => {
    // At n both c and d are open; entering c at once would run it before z.
    const nodes = ["x: in", "z: x", "c: x", "d: z c", "n: c d"].map(parse);
    const file = orderForExecution(nodes).map((index) => nodes[index]!);
    expect(names(file, executionOrder(file))).toBe("x z c d n");
  });

  test("interleaves recomputation, gradients and weight gradients layer by layer", () => {
    const nodes = trainingNodes(12, true);
    const file = orderForExecution(nodes).map((index) => nodes[index]!);
    expect(names(file, executionOrder(file))).toBe(names(nodes, [...nodes.keys()]));
  });
});

/** Forward, then per layer from the top: the recomputed activation, the weight gradient and the input's gradient. */
function trainingNodes(layers: number, recompute: boolean): OrderedNode[] {
  const lines = ["f0: x"];
  for (let i = 1; i < layers; i++) lines.push(`f${i}: f${i - 1}`);
  lines.push(`b${layers}: f${layers - 1}`);
  for (let i = layers - 1; i > 0; i--) {
    if (recompute) lines.push(`r${i}: f${i - 1}`);
    const activation = recompute ? `r${i}` : `f${i}`;
    lines.push(`w${i}: b${i + 1} ${activation}`, `b${i}: b${i + 1} ${activation}`);
  }
  lines.push("w0: b1 x");
  return lines.map(parse);
}

describe("peakBytes", () => {
  const sizes = new Map([
    ["a", 10],
    ["b", 20],
    ["c", 5],
    ["d", 1],
  ]);
  const nodes = ["a: x", "b: a", "c: b", "d: c"].map(parse);

  test("frees a value after its last reader", () => {
    // The peak is a + b = 30 while b runs; inputs and unknown values do not count.
    expect(peakBytes(nodes, [0, 1, 2, 3], sizes)).toBe(30);
  });

  test("keeps graph outputs to the end", () => {
    expect(peakBytes(nodes, [0, 1, 2, 3], sizes, ["a"])).toBe(35);
  });

  test("counts an output that nobody reads only while its node runs", () => {
    const split: OrderedNode[] = [
      { inputs: ["x"], outputs: ["a", "b"] },
      { inputs: ["a", "a"], outputs: ["c"] },
    ];
    expect(peakBytes(split, [0, 1], sizes)).toBe(30);
  });

  test("depends on the order", () => {
    const branches = ["a: x", "b: x", "c: a", "d: b"].map(parse);
    expect(peakBytes(branches, [0, 1, 2, 3], sizes, ["c", "d"])).toBe(35);
    expect(peakBytes(branches, [0, 2, 1, 3], sizes, ["c", "d"])).toBe(26);
  });
});
