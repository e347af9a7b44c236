import { expect, test } from "vitest";
import { gentlerResume, isDiverging } from "./divergence.js";

test.each<[string, number, number, boolean]>([
  ["a better loss", 3.9, 4, false],
  ["a bump as after a merge or a restart", 4.6, 4.6, false],
  ["just at the limit", 6, 6, false],
  ["beyond the limit", 6.01, 6, true],
  ["overfitting: held-out loss rises, training loss falls", 7, 0.4, false],
  ["a loss that is not finite", Number.NaN, Number.NaN, true],
  ["an infinite one", Number.POSITIVE_INFINITY, 4.5, true],
])("against a lowest loss of 4 and a factor of 1.5: %s", (_, heldOut, training, diverging) => {
  expect(isDiverging(heldOut, training, { lowest: 4, factor: 1.5 })).toBe(diverging);
});

test("without a loss to compare with, or a factor, nothing diverges", () => {
  expect(isDiverging(9, 9, { lowest: null, factor: 1.5 })).toBe(false);
  expect(isDiverging(9, 9, { lowest: 1, factor: null })).toBe(false);
});

test("the noise of losses near zero is no divergence", () => {
  expect(isDiverging(0.02, 0.02, { lowest: 0.001, factor: 1.5 })).toBe(false);
  expect(isDiverging(1.6, 1.6, { lowest: 0.001, factor: 1.5 })).toBe(true);
});

test("the way out halves what the run can change", () => {
  const adaptersAlone = { trainModules: [], bias: "none", adapterFrom: null, warmStartSteps: 0 } as const;
  const rates = { method: "relora", lr: 1e-3, adapterLr: 0.003, clipGradNorm: 1 } as const;
  const settings = { ...rates, ...adaptersAlone, trainModules: ["norms"] as const };
  expect(gentlerResume("runs/a", "best", settings)).toBe(
    "highrank resume runs/a --checkpoint best --lr 0.0005 --adapter-lr 0.0015",
  );
  expect(gentlerResume("runs/a", "last", { ...settings, method: "full", clipGradNorm: null })).toBe(
    "highrank resume runs/a --lr 0.0005 --clip-grad-norm 1",
  );
  expect(gentlerResume("runs/a", "last", { ...rates, ...adaptersAlone })).toBe(
    "highrank resume runs/a --adapter-lr 0.0015",
  );
});
