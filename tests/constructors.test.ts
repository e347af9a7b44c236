import { expect, test } from "vitest";
import { CoreAdapter, DoRAAdapter, LoRAAdapter } from "../src/adapters/index.js";
import { ConfigError, ShapeError } from "../src/base/errors.js";
import { Embedding, LayerNorm, Linear, Parameter, RMSNorm } from "../src/nn/index.js";
import { AdamW } from "../src/optim/index.js";
import { Rng } from "../src/tensor/random.js";

const rng = new Rng(0);
const weight = { values: () => new Float32Array(16) } as never;
const BETAS = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
const GROUP = { parameters: new Map([["a", Float32Array.of(1)]]), lr: 0.1, weightDecay: 0 };

test.each<[string, () => unknown]>([
  ["LoRAAdapter: inFeatures must be an integer of at least 1, got NaN", () => lora({}, Number.NaN)],
  ["LoRAAdapter: rank must be an integer from 1 to 4", () => lora({ rank: 1.5 })],
  ["LoRAAdapter: alpha must be a finite number, got NaN", () => lora({ alpha: Number.NaN })],
  ['LoRAAdapter: alpha must be a finite number, got "16"', () => lora({ alpha: "16" })],
  ["LoRAAdapter: dropout must be in [0, 1), got 1", () => lora({ dropout: 1 })],
  [
    'LoRAAdapter: initialization must be one of xavier, kaiming, gaussian, got "he"',
    () => lora({ initialization: "he" }),
  ],
  ["CoreAdapter: outFeatures must be", () => new CoreAdapter(4, 0, { rank: 1 }, rng)],
  [
    "DoRAAdapter: alpha must be",
    () => new DoRAAdapter(4, 4, { rank: 1, alpha: Number.POSITIVE_INFINITY }, rng, weight),
  ],
  ["Linear: outFeatures must be an integer of at least 1, got -2", () => Linear.random(4, -2, rng)],
  [
    "Linear: standardDeviation must be a finite number of at least 0, got NaN",
    () => Linear.random(4, 2, rng, Number.NaN),
  ],
  [
    "Embedding: dim must be an integer of at least 1, got undefined",
    () => Embedding.random(4, undefined as never, rng),
  ],
  ["RMSNorm: dim must be an integer of at least 1, got 2.5", () => new RMSNorm(2.5)],
  ["RMSNorm: epsilon must be", () => new RMSNorm(4, { epsilon: -1 })],
  ["LayerNorm: epsilon must be", () => new LayerNorm(4, { epsilon: Number.NaN })],
  ["AdamW: beta2 must be in [0, 1), got 1", () => new AdamW([GROUP], { ...BETAS, beta2: 1 })],
  ["AdamW: lr must be a finite number of at least 0, got NaN", () => new AdamW([{ ...GROUP, lr: Number.NaN }], BETAS)],
  [
    "AdamW: lrMultiplier must be a finite number, got undefined",
    () => new AdamW([GROUP], BETAS).step(new Map([["a", Float32Array.of(1)]]), {} as never),
  ],
])("%s", (message, make) => {
  expect(make).toThrow(ConfigError);
  expect(make).toThrow(message);
});

function lora(options: object, inFeatures = 4): LoRAAdapter {
  return new LoRAAdapter(inFeatures, 4, { rank: 1, ...options }, rng);
}

test("a weight has two axes", () => {
  const flat = new Parameter(new Float32Array(4), [4]);
  expect(() => new Linear(flat)).toThrow(ShapeError);
  expect(() => new Linear(flat)).toThrow("Linear: weight must be a parameter of two axes, got shape (4)");
  expect(() => new Embedding(undefined as never)).toThrow(
    "Embedding: weight must be a parameter of two axes, got undefined",
  );
});
