import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { constant, cosine, cosineRestarts, jagged, linear } from "./schedules.js";

const upTo = (last: number) => Array.from({ length: last + 1 }, (_, step) => step);

/** Compares with values printed with 8 decimals. */
function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i], `step ${i}`).toBeCloseTo(value, 8);
}

// Values of the official ReLoRA code in double precision.
test.each([
  [0, 0],
  [1, 0.002],
  [250, 0.5],
  [499, 0.998],
  [500, 1.0],
  [501, 0.9999999941599974],
  [2500, 0.9768413988762155],
  [4999, 0.8868779075655958],
  [5000, 0],
  [5001, 0.008819788065314187],
  [5050, 0.44098940326570935],
  [5099, 0.8731590184661044],
  [5100, 0.8819788065314187],
  [5101, 0.8819298589790123],
  [9999, 0.5681921123095288],
  [10000, 0],
  [10050, 0.2804368426781298],
  [10099, 0.555264948502697],
  [10100, 0.5608736853562596],
  [15000, 0],
  [15050, 0.11654306339297243],
  [15100, 0.23308612678594487],
  [19999, 0.10000000584000258],
  [20000, 0],
])("cosineRestarts over 20000 steps at step %i is %d", (step, multiplier) => {
  const options = { totalSteps: 20000, warmupSteps: 500, restartWarmupSteps: 100, cycleLength: 5000, minLrRatio: 0.1 };
  expect(cosineRestarts(step, options)).toBeCloseTo(multiplier, 14);
});

test.each([
  [500, 1.0],
  [4999, 0.8026148712613355],
  [5000, 0],
  [5050, 0.39720288143309734],
  [5100, 0.7944057628661947],
  [9999, 0.3393023470266954],
  [10100, 0.33065230748710644],
  [14999, 0.10000001056200228],
])("cosineRestarts over 15000 steps at step %i is %d", (step, multiplier) => {
  const options = { totalSteps: 15000, warmupSteps: 500, restartWarmupSteps: 100, cycleLength: 5000, minLrRatio: 0.1 };
  expect(cosineRestarts(step, options)).toBeCloseTo(multiplier, 14);
});

const SMALL = { totalSteps: 40, warmupSteps: 4, restartWarmupSteps: 3, cycleLength: 10, minLrRatio: 0.1 };

test("cosineRestarts agrees with the official code at each step of a small run", () => {
  // biome-ignore format: a table of values
  expectClose(upTo(40).map((step) => cosineRestarts(step, SMALL)), [
    0, 0.25, 0.5, 0.75, 1, 0.99828761, 0.99316349, 0.98466662, 0.97286168, 0.9578385,
    0, 0.28939935, 0.5787987, 0.86819805, 0.83925442, 0.8081094, 0.775, 0.74017822, 0.70390906, 0.66646857,
    0, 0.17025997, 0.34051994, 0.51077992, 0.47185832, 0.43353143, 0.39609094, 0.35982178, 0.325, 0.2918906,
    0, 0.06046053, 0.12092105, 0.18138158, 0.16028857, 0.1421615, 0.12713832, 0.11533338, 0.10683651, 0.10171239,
    0,
  ]);
});

test("a warm-up of no steps leaves no step at zero", () => {
  const values = upTo(39).map((step) => cosineRestarts(step, { ...SMALL, warmupSteps: 0, restartWarmupSteps: 0 }));
  expect(Math.min(...values)).toBeGreaterThan(0.1);
  expect(values[0]).toBe(1);
  expect([constant(0), linear(0, { totalSteps: 4 }), cosine(0, { totalSteps: 4 })]).toEqual([1, 1, 1]);
});

test("a first warm-up that is shorter than the restarts' is the only one of the first cycle", () => {
  for (const step of [1, 2, 3]) {
    const decayed = 0.1 + 0.9 * 0.5 * (1 + Math.cos((Math.PI * (step - 1)) / 39));
    expect(cosineRestarts(step, { ...SMALL, warmupSteps: 1 })).toBeCloseTo(decayed, 12);
  }
});

test("a decay stays at its last value past its end", () => {
  expect(cosineRestarts(45, SMALL)).toBeCloseTo(0.1, 12);
  expect(cosine(400, { totalSteps: 40, minLrRatio: 0.2 })).toBeCloseTo(0.2, 12);
  expect(linear(41, { totalSteps: 40 })).toBe(0);
});

test("cosine with cycles agrees with the official code", () => {
  const options = { totalSteps: 30, cycleLength: 10, warmupSteps: 4, minLrRatio: 0.1 };
  // biome-ignore format: a table of values
  expectClose(upTo(24).map((step) => cosine(step, options)), [
    0, 0.25, 0.5, 0.75, 1, 0.93971143, 0.775, 0.55, 0.325, 0.16028857,
    1e-7, 1e-7, 0.5, 0.75, 1, 0.93971143, 0.775, 0.55, 0.325, 0.16028857,
    1e-7, 1e-7, 0.5, 0.75, 1,
  ]);
  expect(cosine(10, options)).toBe(1e-7);
});

test("constant and linear", () => {
  expect(upTo(5).map((step) => constant(step, { warmupSteps: 4 }))).toEqual([0, 0.25, 0.5, 0.75, 1, 1]);
  const line = upTo(8).map((step) => linear(step, { warmupSteps: 4, totalSteps: 8 }));
  expect(line).toEqual([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]);
});

test("jagged agrees with axolotl's wrapper around a cosine", () => {
  const options = { restartEvery: 10, restartWarmupSteps: 3, annealSteps: 2 };
  const at = (step: number) => jagged(cosine(step, { totalSteps: 40, warmupSteps: 4 }), step, options);
  const golden: readonly (readonly [number, number])[] = [
    [8, 0.96984631],
    [9, 0.47705352],
    [10, 0.00093301],
    [11, 0.30379839],
    [12, 0.58897582],
    [13, 0.85355339],
    [19, 0.31501947],
    [20, 0.00058682],
    [21, 0.18155501],
    [30, 0.00017861],
    [39, 0.00095228],
  ];
  for (const [step, multiplier] of golden) expect(at(step), `step ${step}`).toBeCloseTo(multiplier, 8);
  expectClose([1, 2, 3, 4, 5].map(at), [0.25, 0.5, 0.75, 1, 0.99809735]);
});

test.each<[string, () => number]>([
  ["constant: step must be a finite number of at least 0, got -1", () => constant(-1)],
  ["linear: totalSteps must be a finite number above 0, got NaN", () => linear(1, { totalSteps: Number.NaN })],
  ["linear: totalSteps must be a finite number above 0, got undefined", () => linear(1, {} as never)],
  ["cosine: cycleLength must be a finite number above 0, got 0", () => cosine(5, { totalSteps: 10, cycleLength: 0 })],
  ["cosine: minLrRatio must be from 0 to 1, got 5", () => cosine(5, { totalSteps: 10, minLrRatio: 5 })],
  [
    "cosineRestarts: restartWarmupSteps must be a finite number of at least 0, got undefined",
    () => cosineRestarts(5, { totalSteps: 10, cycleLength: 5 } as never),
  ],
  [
    "jagged: minScale must be from 0 to 1, got 2",
    () => jagged(1, 5, { restartEvery: 10, restartWarmupSteps: 1, annealSteps: 1, minScale: 2 }),
  ],
])("%s", (fault, schedule) => {
  expect(schedule).toThrow(ConfigError);
  expect(schedule).toThrow(fault);
});
