import { expect, test } from "vitest";
import type { AdapterTensor } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { Module, Parameter } from "../nn/module.js";
import { AdamW } from "../optim/adamw.js";
import { Rng } from "../tensor/random.js";
import { adapterGradientFault, requireAllOptimized } from "./startup-checks.js";

class TwoWeights extends Module {
  readonly first: Parameter = new Parameter(Float32Array.of(1, 2), [2]);
  readonly second: Parameter = new Parameter(Float32Array.of(3), [1]);
  readonly tied: Parameter = this.first;
  readonly frozen: Parameter = new Parameter(Float32Array.of(4), [1], { trainable: false });
}

function optimizerOf(...groups: Record<string, Parameter>[]): AdamW {
  const options = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
  const parametersOf = (group: Record<string, Parameter>) =>
    new Map(Object.entries(group).map(([name, { values }]) => [name, values] as const));
  return new AdamW(
    groups.map((group) => ({ parameters: parametersOf(group), lr: 1, weightDecay: 0 })),
    options,
  );
}

test("an optimizer that updates each trainable tensor once fits its model", () => {
  const model = new TwoWeights();
  requireAllOptimized(model, optimizerOf({ a: model.first }, { b: model.second }));
});

test.each<[string, (model: TwoWeights) => AdamW, RegExp]>([
  ["a tensor forgotten", ({ first }) => optimizerOf({ first }), /\nsecond is never updated$/],
  [
    "a frozen one updated",
    ({ first, second, frozen }) => optimizerOf({ first, second, frozen }),
    /\nfrozen is not trainable$/,
  ],
  [
    "one by two names",
    ({ first, second }) => optimizerOf({ first, second }, { again: first }),
    /\na tensor is updated twice$/,
  ],
  [
    "a copy in its place",
    ({ first, second }) => optimizerOf({ first, second: new Parameter(second.values.slice(), [1]) }),
    /\nsecond is never updated\nsecond is not trainable$/,
  ],
])("an optimizer that does not fit is a defect that is named: %s", (_, make, message) => {
  const model = new TwoWeights();
  expect(() => requireAllOptimized(model, make(model))).toThrow(message);
});

const ZERO = new Float32Array(4);
const SOME = Float32Array.of(0, 0, 1e-30, 0);

/** The fault of an update of two adapters; `gradients` are those of A and B of each. */
function faultOf(before: number, gradients: [Float32Array, Float32Array][], moved = true): string | null {
  const parts = new Map<string, AdapterTensor>();
  const named = new Map<string, Float32Array>();
  for (const [i, [a, b]] of gradients.entries()) {
    const adapter = new LoRAAdapter(4, 4, { rank: 1 }, new Rng(0));
    if (before > 0 && moved) adapter.loraB.values[0] = 1;
    for (const part of adapter.parts) parts.set(`layer${i}.adapter.${part.name}`, { layer: `layer${i}`, ...part });
    named.set(`layer${i}.adapter.loraA`, a).set(`layer${i}.adapter.loraB`, b);
  }
  return adapterGradientFault({ parts, gradients: named, before });
}

test("what the first updates of sound adapters look like", () => {
  expect(
    faultOf(0, [
      [ZERO, SOME],
      [ZERO, SOME],
    ]),
  ).toBeNull();
  expect(
    faultOf(1, [
      [SOME, SOME],
      [SOME, SOME],
    ]),
  ).toBeNull();
  // Adapters that do not start at zero.
  expect(
    faultOf(0, [
      [SOME, ZERO],
      [SOME, SOME],
    ]),
  ).toBeNull();
  // Behind a weight that was zero until the first update.
  expect(
    faultOf(0, [
      [ZERO, ZERO],
      [ZERO, SOME],
    ]),
  ).toBeNull();
  expect(
    faultOf(
      1,
      [
        [ZERO, SOME],
        [ZERO, SOME],
      ],
      false,
    ),
  ).toBeNull();
  // Later a gradient may be zero.
  expect(
    faultOf(2, [
      [ZERO, ZERO],
      [ZERO, ZERO],
    ]),
  ).toBeNull();
});

test("adapters that training does not reach are named", () => {
  expect(
    faultOf(0, [
      [ZERO, ZERO],
      [ZERO, ZERO],
    ]),
  ).toMatch(/^2 of 2 adapters get no gradient in their first update.*\nlayer0: loraA, loraB\nlayer1: loraA, loraB$/);
  expect(
    faultOf(1, [
      [ZERO, ZERO],
      [SOME, SOME],
    ]),
  ).toMatch(/^1 of 2 adapters get no gradient in their second update.*targetModules\nlayer0: loraA, loraB$/);
  expect(
    faultOf(1, [
      [SOME, SOME],
      [ZERO, SOME],
    ]),
  ).toMatch(/targetModules\nlayer1: loraA$/);
  expect(
    faultOf(1, [
      [SOME, ZERO],
      [SOME, SOME],
    ]),
  ).toMatch(/targetModules\nlayer0: loraB$/);
  expect(
    faultOf(
      1,
      Array.from({ length: 10 }, () => [ZERO, ZERO]),
    ),
  ).toMatch(/\nlayer7: .*\n… and 2 more$/);
});
