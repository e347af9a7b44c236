import { describe, expect, test } from "vitest";
import type { AdapterOptions } from "../src/adapters/adapter-kind.js";
import { CoreAdapter } from "../src/adapters/core-adapter.js";
import { DoRAAdapter } from "../src/adapters/dora-adapter.js";
import { frozenWeight } from "../src/adapters/frozen-weight.js";
import * as adapters from "../src/adapters/index.js";
import { adapterKind, adapterKinds } from "../src/adapters/kinds.js";
import { LoRAAdapter, type LoRAOptions } from "../src/adapters/lora-adapter.js";
import { ConfigError } from "../src/base/errors.js";
import { Linear } from "../src/nn/linear.js";
import { namedParameters } from "../src/nn/module.js";
import { Rng } from "../src/tensor/random.js";
// Starting near an update computes with `Tensor.data()`.
import "../src/runtime/evaluate.js";
import { testAdapterContract } from "./adapters/contract.js";

const VARIANTS: readonly (readonly [what: string, options: LoRAOptions])[] = [
  ["defaults", { rank: 3 }],
  ["rank 1", { rank: 1 }],
  ["the largest rank", { rank: 5 }],
  ["Kaiming initialisation", { rank: 3, initialization: "kaiming" }],
  ["Gaussian initialisation", { rank: 3, initialization: "gaussian" }],
  ["alpha", { rank: 2, alpha: 16 }],
  ["rank-stabilised scaling", { rank: 4, alpha: 3, rslora: true }],
  ["dropout", { rank: 3, dropout: 0.5 }],
];

const CORES = VARIANTS.filter(([, { initialization }]) => initialization === undefined);

/** Every concrete adapter class with the variants that its contract is run for. */
const CLASSES = { CoreAdapter: CORES.length, DoRAAdapter: VARIANTS.length, LoRAAdapter: VARIANTS.length };

describe.each(VARIANTS)("LoRAAdapter with %s", (_, options) => {
  testAdapterContract({
    create: (inFeatures, outFeatures, rng) => new LoRAAdapter(inFeatures, outFeatures, options, rng),
    parameterCount: (inFeatures, outFeatures) => options.rank * (inFeatures + outFeatures),
    // B starts at zero: A gets no gradient before B has moved.
    movesFirst: ["loraB"],
  });
});

describe.each(CORES)("CoreAdapter with %s", (_, options) => {
  testAdapterContract({
    create: (inFeatures, outFeatures, rng) => new CoreAdapter(inFeatures, outFeatures, options, rng),
    parameterCount: (inFeatures, outFeatures) => options.rank * (inFeatures + outFeatures + options.rank),
    movesFirst: ["core"],
    frozenParts: ["loraA", "loraB"],
  });
});

describe.each(VARIANTS)("DoRAAdapter with %s", (_, options) => {
  testAdapterContract({
    create: (inFeatures, outFeatures, rng, weight) => new DoRAAdapter(inFeatures, outFeatures, options, rng, weight),
    parameterCount: (inFeatures, outFeatures) => options.rank * (inFeatures + outFeatures) + outFeatures,
    movesFirst: ["loraB", "magnitude"],
    startsWithin: 1e-6,
  });
});

const KIND_OPTIONS: AdapterOptions = { rank: 3, alpha: 3, rslora: false, dropout: 0, initialization: "xavier" };

test.each(adapterKinds())("the kind %s is what its record says", async (name) => {
  const kind = adapterKind(name);
  const linear = Linear.random(7, 5, new Rng(1), 0.5);
  const adapter = kind.create(7, 5, KIND_OPTIONS, new Rng(2), frozenWeight(linear));
  expect(adapter.weakestDirections(1) !== undefined).toBe(kind.hasDirections ?? false);
  expect(adapter.gradientStart !== undefined).toBe(kind.startsInGradients ?? false);
  const near = adapter.startNear(new Float32Array(35).fill(1), new Rng(3));
  if (kind.startsNear) await near;
  else await expect(near).rejects.toThrow(ConfigError);
  expect(adapter.starts().size > 0).toBe(
    kind.startsNear === true || adapter.parts.length < namedParameters(adapter).size,
  );
});

test("no adapter class that is exported is left out", () => {
  const classes = Object.entries(adapters).flatMap(([name, value]) =>
    typeof value === "function" && value.prototype instanceof adapters.LinearAdapter ? [name] : [],
  );
  expect(classes).toEqual(Object.keys(CLASSES));
  expect(CLASSES.LoRAAdapter).toBe(8);
});
