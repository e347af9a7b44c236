import { describe, expect, test } from "vitest";
import { sum } from "../base/numbers.js";
import { Rng } from "../tensor/random.js";
import { CycleLosses, type Fullness, type RestartingPart } from "./cycle-losses.js";

/** Tokens of a step. */
const TOKENS = 1000;

/** Few weights: when they are full, their losses alone say. */
const part = (directions = 1): RestartingPart => ({ directions, weights: 1 });

/** The steps after which adapters restart whose loss after so many steps of a cycle is `lossOf`, and why. */
function restartsOf(
  lossOf: (step: number, start: number, restarts: number) => number,
  { steps, noise = 0, seed = 1, weights = 1 }: { steps: number; noise?: number; seed?: number; weights?: number },
): { step: number; fullness: Fullness }[] {
  const losses = new CycleLosses();
  const rng = new Rng(seed, "noise");
  const restarts: { step: number; fullness: Fullness }[] = [];
  for (let step = 1; step <= steps; step++) {
    const start = restarts.at(-1)?.step ?? 0;
    losses.add(lossOf(step, start, restarts.length) + noise * rng.normal(), TOKENS);
    const fullness = losses.fullness(steps - step, { directions: 1, weights });
    if (fullness === null) continue;
    losses.restart(weights);
    restarts.push({ step, fullness });
  }
  return restarts;
}

/** Each adapter gains 0.3 nats, two thirds of what is left of it in every 60 steps. */
const filling = (step: number, start: number, restarts: number): number =>
  9 - 0.3 * (restarts + 1 - 3 ** (-(step - start) / 60));

describe("adapters", () => {
  test.each([0, 0.02, 0.1])("that fill are restarted when they are full, with noise of %d nats", (noise) => {
    const restarts = restartsOf(filling, { steps: 4000, noise });
    expect(restarts.length).toBeGreaterThan(4000 / 400);
    const lengths = restarts.map(({ step }, index) => step - (restarts[index - 1]?.step ?? 0));
    // The louder the losses, the later it is sure.
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(32);
    for (const { fullness } of restarts) {
      expect(fullness.gain + fullness.standardError / 2).toBeLessThan(0.75 * fullness.meanGain);
      expect(fullness.meanGain).toBeGreaterThan(0);
    }
  });

  test("that go on gaining as much are not", () => {
    for (let seed = 1; seed <= 20; seed++) {
      // A few steps say nothing yet.
      const restarts = restartsOf((step) => 9 - step / 1000, { steps: 2000, noise: 0.01, seed });
      expect(restarts.filter(({ fullness }) => fullness.steps > 96)).toEqual([]);
    }
    expect(restartsOf((step) => 9 - step / 1000, { steps: 2000 })).toEqual([]);
  });

  test("are restarted ever more seldom where the loss slows down whatever they do", () => {
    const restarts = restartsOf((step) => 4 + 5 / Math.sqrt(step), { steps: 20_000 }).map(({ step }) => step);
    expect(restarts.length).toBeLessThan(25);
    expect(restarts.filter((step) => step > 10_000).length).toBeLessThan(5);
  });

  test("are not restarted where too few steps are left to fill others", () => {
    const steps = 1000;
    for (const { step, fullness } of restartsOf(filling, { steps })) {
      expect(steps - step).toBeGreaterThanOrEqual(fullness.steps / 2);
    }
    const losses = new CycleLosses();
    for (let step = 1; step <= 256; step++) losses.add(filling(step, 0, 0), TOKENS);
    expect(losses.fullness(127, part())).toBeNull();
    expect(losses.fullness(128, part())).toMatchObject({ steps: 256 });
  });

  test.each([
    [1, 32],
    [4, 128],
    [32, 1024],
  ])("are given at least 32 steps for each of %i directions, and asked in whole blocks", (directions, least) => {
    const losses = new CycleLosses();
    const asked: number[] = [];
    for (let step = 1; step <= 1200; step++) {
      losses.add(9 - 0.3 * (1 - 3 ** (-step / 6)), TOKENS);
      if (losses.fullness(10_000, part(directions)) !== null) asked.push(step);
    }
    expect(asked[0]).toBe(least);
    if (directions > 1) return;
    expect(asked.filter((step) => step > 256 && step < 512)).toEqual([288, 320, 352, 384, 416, 448, 480]);
  });
});

describe("a run that has learned less than its adapters can hold", () => {
  /** Bits by which the tokens of the first steps would cost less with the mean loss of the last quarter of them. */
  const learned = (steps: number): number => {
    const losses = Array.from({ length: steps }, (_, index) => filling(index + 1, 0, 0));
    return ((sum(losses) - 4 * sum(losses.slice(-steps / 4))) * TOKENS) / Math.LN2;
  };

  test("does not restart them, however slow the loss has become", () => {
    const restarts = restartsOf(filling, { steps: 4000, weights: Math.ceil(learned(4000)) });
    expect(restarts).toEqual([]);
  });

  test("restarts them once it has learned a bit for each weight", () => {
    expect(restartsOf(filling, { steps: 4000, weights: learned(208) - 1 })[0]!.step).toBe(208);
    expect(restartsOf(filling, { steps: 4000, weights: learned(208) + 1 })[0]!.step).toBe(224);
  });

  test("counts the weights of all adapters, so that a restart that brings nothing is the last", () => {
    const stuck = (step: number): number => filling(step, 0, 0);
    expect(restartsOf(stuck, { steps: 4000 }).length).toBeGreaterThan(4);
    expect(restartsOf(stuck, { steps: 4000, weights: Math.ceil(learned(4000) / 2) + 1 })).toHaveLength(1);
  });
});

test("the gain is that of the last half, and the mean that since the cycle before began", () => {
  const losses = new CycleLosses();
  for (let step = 1; step <= 64; step++) losses.add(step <= 32 ? 5 - step / 100 : 5 - 0.32, TOKENS);
  const first = losses.fullness(1000, part())!;
  // From the quarter around step 40.5 to that around 56.5, and from that around 8.5.
  expect(first.gain).toBeCloseTo(0, 12);
  expect(first.meanGain).toBeCloseTo((0.32 - 0.085) / 48, 12);
  losses.restart(1);
  for (let step = 1; step <= 32; step++) losses.add(5 - 0.32 - (step <= 8 ? step / 200 : 0.04), TOKENS);
  const second = losses.fullness(1000, part())!;
  expect(second.gain).toBeCloseTo(0, 12);
  expect(second.meanGain).toBeCloseTo((0.36 - 0.085) / (56 + 28), 12);
});

test("a cycle before that began with low losses by chance keeps no adapters for ever", () => {
  const losses = new CycleLosses();
  for (let step = 1; step <= 32; step++) losses.add(step <= 8 ? 2.3 : 2.6, TOKENS);
  losses.restart(0);
  const full: number[] = [];
  for (let step = 1; step <= 256; step++) {
    losses.add(2.45 + 0.15 * Math.exp(-step / 20), TOKENS);
    const fullness = losses.fullness(1000, { directions: 1, weights: 0 });
    if (fullness !== null) full.push(step);
  }
  // Over both cycles the loss has risen; this one alone has filled its adapters long ago.
  expect(full[0]).toBe(64);
});

test("the standard error is that of the noise, whatever the fall", () => {
  const rng = new Rng(3, "noise");
  const losses = new CycleLosses();
  for (let step = 1; step <= 8192; step++) losses.add(9 - 1 + Math.exp(-step / 3000) + 0.2 * rng.normal(), TOKENS);
  const quarter = 2048;
  const { standardError } = losses.fullness(100_000, part())!;
  expect(standardError / ((0.2 * Math.sqrt(2 / quarter)) / quarter)).toBeCloseTo(1, 1);
});

test("a state goes on as if nothing had happened", () => {
  const rng = new Rng(5, "noise");
  const values = Array.from({ length: 700 }, (_, index) => filling(index + 1, 0, 0) + 0.02 * rng.normal());
  const straight = new CycleLosses();
  let interrupted = new CycleLosses();
  for (const [index, loss] of values.entries()) {
    straight.add(loss, TOKENS);
    interrupted.add(loss, TOKENS);
    interrupted = new CycleLosses(JSON.parse(JSON.stringify(interrupted.state)));
    expect(interrupted.fullness(10_000, part())).toEqual(straight.fullness(10_000, part()));
    if (index === 300) for (const each of [straight, interrupted]) each.restart(1);
  }
  expect(interrupted.state).toEqual(straight.state);
  expect(straight.state!.sums.length).toBeLessThan(64);
});
