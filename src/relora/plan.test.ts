import { describe, expect, test } from "vitest";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import { describePlan, planRun, planStep, type ReloraConfig } from "./plan.js";

const BASE: ReloraConfig = {
  method: "relora",
  maxSteps: 40,
  warmStartSteps: 0,
  reloraEvery: 10,
  restartShare: 1,
  cycleLength: 10,
  restartWarmupSteps: 3,
  warmupSteps: 4,
  schedule: "cosine_restarts",
  minLrRatio: 0.1,
  optimizerReset: "reset",
};

const planOf = (change: Partial<ReloraConfig>) => {
  const config = { ...BASE, ...change };
  return Array.from({ length: config.maxSteps }, (_, i) => planStep(i + 1, config));
};

describe("relora that restarts when the adapters are full", () => {
  const WHEN_FULL: Partial<ReloraConfig> = { restart: "when-full", schedule: "cosine", restarts: [12, 31] };

  test("merges after the steps that it is told, and at the end", () => {
    const plan = planOf(WHEN_FULL);
    expect(plan.filter(({ merge }) => merge).map(({ step }) => step)).toEqual([12, 31, 40]);
    expect(plan.filter(({ resetOptimizer }) => resetOptimizer).map(({ step }) => step)).toEqual([12, 31]);
    expect([1, 12, 13, 31, 32, 40].map((step) => plan[step - 1]!.cycle)).toEqual([1, 1, 2, 2, 3, 3]);
    expect(planRun({ ...BASE, ...WHEN_FULL })).toMatchObject({ merges: [12, 31, 40], optimizerResets: [12, 31] });
  });

  test("steps do not depend on restarts after them", () => {
    const before = planOf({ ...WHEN_FULL, restarts: [12] });
    expect(planOf(WHEN_FULL).slice(0, 30)).toEqual(before.slice(0, 30));
  });

  test("the rate keeps to one cosine over the run", () => {
    const rates = (change: Partial<ReloraConfig>) => planOf(change).map(({ lrMultiplier }) => lrMultiplier);
    expect(rates(WHEN_FULL)).toEqual(rates({ method: "lora", schedule: "cosine" }));
  });

  test("no period of a fixed cycle matters", () => {
    expect(planOf({ ...WHEN_FULL, reloraEvery: 7, cycleLength: 21 })).toEqual(planOf(WHEN_FULL));
  });

  test("after a warm start, cycles count from its end", () => {
    const plan = planOf({ ...WHEN_FULL, warmStartSteps: 8 });
    expect([8, 9, 12, 13].map((step) => plan[step - 1]!.cycle)).toEqual([0, 1, 1, 2]);
  });

  test("in words", () => {
    const words = (restarts: readonly number[]) => describePlan(planRun({ ...BASE, ...WHEN_FULL, restarts }));
    expect(words([])).toBe("40 steps with adapters; merged and restarted when they are full, and merged after step 40");
    expect(words([12, 31])).toBe(
      "40 steps with adapters; merged and restarted when they are full, so far after steps 12, 31, " +
        "and merged after step 40",
    );
  });
});

describe("relora", () => {
  test("a share of the directions is merged, and all of them at the end", () => {
    const plan = planOf({ restartShare: 0.25 });
    expect(plan.filter(({ merge }) => merge).map(({ step, mergeShare }) => [step, mergeShare])).toEqual([
      [10, 0.25],
      [20, 0.25],
      [30, 0.25],
      [40, 1],
    ]);
    expect(planOf({ method: "lora", restartShare: 0.25 }).every(({ mergeShare }) => mergeShare === 1)).toBe(true);
  });

  test("merges at the end of each cycle and resets the optimizer at each but the last", () => {
    expect(planRun(BASE)).toEqual({
      phases: [{ name: "adapter", firstStep: 1, lastStep: 40 }],
      restartsWhenFull: false,
      merges: [10, 20, 30, 40],
      optimizerResets: [10, 20, 30],
    });
  });

  test("cycles count from 1 and end with their merge", () => {
    const plan = planOf({ maxSteps: 7, reloraEvery: 3, cycleLength: 3, warmupSteps: 1, restartWarmupSteps: 1 });
    expect(plan.map(({ cycle }) => cycle)).toEqual([1, 1, 1, 2, 2, 2, 3]);
    expect(plan.map(({ merge }) => merge)).toEqual([false, false, true, false, false, true, true]);
    expect(plan.map(({ addAdapters }) => addAdapters)).toEqual([true, ...Array(6).fill(false)]);
  });

  test("after a warm start everything counts from its end", () => {
    const config = { ...BASE, warmStartSteps: 7, maxSteps: 30 };
    expect(planRun(config)).toEqual({
      phases: [
        { name: "warm-start", firstStep: 1, lastStep: 7 },
        { name: "adapter", firstStep: 8, lastStep: 30 },
      ],
      restartsWhenFull: false,
      merges: [17, 27, 30],
      optimizerResets: [17, 27],
    });
    expect(planStep(7, config)).toMatchObject({ phase: "warm-start", cycle: 0, addAdapters: false, merge: false });
    expect(planStep(8, config)).toMatchObject({ phase: "adapter", cycle: 1, addAdapters: true, merge: false });
    expect(planStep(9, config).addAdapters).toBe(false);
  });

  test("merges may come more often than restarts", () => {
    const { merges, optimizerResets } = planRun({ ...BASE, reloraEvery: 5 });
    expect(merges).toEqual([5, 10, 15, 20, 25, 30, 35, 40]);
    expect(optimizerResets).toEqual([10, 20, 30]);
  });

  test("optimizerReset none keeps the moments", () => {
    expect(planRun({ ...BASE, optimizerReset: "none" })).toMatchObject({
      merges: [10, 20, 30, 40],
      optimizerResets: [],
    });
  });
});

describe("learning rate", () => {
  test("is the jagged cosine in the middle of each step", () => {
    const rates = planOf({}).map(({ lrMultiplier }) => lrMultiplier);
    const decay = (time: number) => 0.1 + 0.9 * 0.5 * (1 + Math.cos((Math.PI * (time - 4)) / 36));
    expect(rates.slice(0, 4)).toEqual([0.125, 0.375, 0.625, 0.875]);
    for (const [step, rate] of [
      [5, decay(4.5)],
      [10, decay(9.5)],
      [11, (0.5 / 3) * decay(13)],
      [12, (1.5 / 3) * decay(13)],
      [13, (2.5 / 3) * decay(13)],
      [14, decay(13.5)],
      [31, (0.5 / 3) * decay(33)],
      [40, decay(39.5)],
    ] as const) {
      expect(rates[step - 1], `step ${step}`).toBeCloseTo(rate, 12);
    }
  });

  test("never is zero, and before each merge is the lowest since the re-warm", () => {
    for (const schedule of ["constant", "linear", "cosine", "cosine_restarts"] as const) {
      for (const warmStartSteps of [0, 10]) {
        const plan = planOf({ schedule, warmStartSteps });
        for (const { lrMultiplier } of plan) {
          expect(lrMultiplier).toBeGreaterThan(0);
          expect(lrMultiplier).toBeLessThanOrEqual(1);
        }
        const warm = warmStartSteps === 0 ? 4 : 3;
        for (const { step, cycle, lrMultiplier } of plan.filter(({ merge }) => merge)) {
          const settled = plan.filter((other) => other.cycle === cycle).slice(warm);
          expect(lrMultiplier, `step ${step}`).toBe(Math.min(...settled.map((other) => other.lrMultiplier)));
        }
      }
    }
  });

  test("the warm start is the start of a full-rank run; the adapters then re-warm on a schedule of their own", () => {
    const rates = planOf({ warmStartSteps: 16 }).map(({ lrMultiplier }) => lrMultiplier);
    const full = planOf({ method: "full", schedule: "cosine" }).map(({ lrMultiplier }) => lrMultiplier);
    const adapters = planOf({ maxSteps: 24, warmupSteps: 3 }).map(({ lrMultiplier }) => lrMultiplier);
    expect(rates.slice(0, 16)).toEqual(full.slice(0, 16));
    expect(rates.slice(16)).toEqual(adapters);
  });

  test("other schedules do not restart", () => {
    const rates = planOf({ schedule: "linear" }).map(({ lrMultiplier }) => lrMultiplier);
    expect(rates[10]).toBeCloseTo(1 - 6.5 / 36, 12);
    expect(
      planOf({ schedule: "constant" })
        .slice(4)
        .every(({ lrMultiplier }) => lrMultiplier === 1),
    ).toBe(true);
  });
});

test("lora is one cycle that is merged at the end", () => {
  expect(planRun({ ...BASE, method: "lora", warmStartSteps: 5 })).toEqual({
    phases: [
      { name: "warm-start", firstStep: 1, lastStep: 5 },
      { name: "adapter", firstStep: 6, lastStep: 40 },
    ],
    restartsWhenFull: false,
    merges: [40],
    optimizerResets: [],
  });
  expect(planStep(40, { ...BASE, method: "lora" })).toMatchObject({ cycle: 1, merge: true, resetOptimizer: false });
});

test("full has no adapters, whatever the settings of other methods", () => {
  const plan = planOf({ method: "full", warmStartSteps: 9 });
  for (const step of plan) {
    expect(step).toMatchObject({ phase: "full", cycle: 0, addAdapters: false, merge: false, resetOptimizer: false });
  }
  expect(planRun({ ...BASE, method: "full" }).phases).toEqual([{ name: "full", firstStep: 1, lastStep: 40 }]);
});

test("every small run merges each cycle once, resets only on merges and ends merged", () => {
  let runs = 0;
  for (let maxSteps = 1; maxSteps <= 12; maxSteps++) {
    for (let warmStartSteps = 0; warmStartSteps < maxSteps; warmStartSteps++) {
      for (let reloraEvery = 1; reloraEvery <= maxSteps - warmStartSteps; reloraEvery++) {
        for (const multiple of [1, 2]) {
          const cycleLength = reloraEvery * multiple;
          const restartWarmupSteps = Math.floor(cycleLength / 2);
          const config = {
            ...BASE,
            maxSteps,
            warmStartSteps,
            reloraEvery,
            cycleLength,
            restartWarmupSteps,
            warmupSteps: 0,
          };
          const { phases, merges, optimizerResets } = planRun(config);
          const adapterSteps = maxSteps - warmStartSteps;
          expect(merges).toHaveLength(Math.ceil(adapterSteps / reloraEvery));
          expect(merges.at(-1)).toBe(maxSteps);
          expect(optimizerResets).toHaveLength(Math.ceil(adapterSteps / cycleLength) - 1);
          expect(optimizerResets.every((step) => merges.includes(step))).toBe(true);
          expect(phases).toHaveLength(warmStartSteps === 0 ? 1 : 2);
          const plan = planOf(config);
          expect(plan.filter(({ addAdapters }) => addAdapters).map(({ step }) => step)).toEqual([warmStartSteps + 1]);
          expect(merges).toEqual(merges.map((step, i) => (plan[step - 1]!.cycle === i + 1 ? step : Number.NaN)));
          runs++;
        }
      }
    }
  }
  expect(runs).toBe(728);
});

test("a step outside the run is refused", () => {
  for (const step of [0, 41, 1.5, Number.NaN]) expect(() => planStep(step, BASE)).toThrow(RangeError);
});

test.each<[Partial<ReloraConfig>, string]>([
  [{}, "40 steps with adapters; 4 merges, after steps 10, 20, 30, 40"],
  [{ warmStartSteps: 1 }, "1 full-rank step, then 39 steps with adapters; 4 merges, after steps 11, 21, 31, 40"],
  [{ reloraEvery: 5 }, "40 steps with adapters; 8 merges, after steps 5, 10, 15, …, 40"],
  [{ method: "lora" }, "40 steps with adapters; 1 merge, after step 40"],
  [{ method: "full" }, "40 full-rank steps"],
])("a plan is told in one line: %j", (change, line) => {
  expect(describePlan(planRun({ ...BASE, ...change }))).toBe(line);
});

test("the whole plan is that of its steps, and a plan of any length is made at once", () => {
  const methods = ["full", "lora", "relora"] as const;
  let plans = 0;
  for (const method of methods)
    for (const warmStartSteps of [0, 1, 7])
      for (const maxSteps of [8, 9, 17])
        for (const [reloraEvery, cycles] of [
          [1, 1],
          [3, 2],
          [5, 1],
        ] as const)
          for (const optimizerReset of ["reset", "none"] as const) {
            const config = { ...BASE, method, warmStartSteps, maxSteps, reloraEvery, optimizerReset };
            const cycleLength = reloraEvery * cycles;
            const steps = planOf({ ...config, cycleLength, restartWarmupSteps: 0 });
            const { phases, merges, optimizerResets } = planRun({ ...config, cycleLength });
            expect(merges).toEqual(steps.filter(({ merge }) => merge).map(({ step }) => step));
            expect(optimizerResets).toEqual(
              steps.filter(({ resetOptimizer }) => resetOptimizer).map(({ step }) => step),
            );
            const named = phases.flatMap(({ name, firstStep, lastStep }) => Array(lastStep - firstStep + 1).fill(name));
            expect(named).toEqual(steps.map(({ phase }) => phase));
            plans++;
          }
  expect(plans).toBe(162);
  const endless = { ...BASE, maxSteps: Number.MAX_SAFE_INTEGER, warmStartSteps: 1e9, reloraEvery: 2 ** 52 };
  expect(planRun({ ...endless, cycleLength: 2 ** 52 }).merges).toEqual([1e9 + 2 ** 52, Number.MAX_SAFE_INTEGER]);
});

test("the quick start warms up in full rank, then merges at least three times", () => {
  const { phases, merges } = planRun(completeSettings(resolveSettings()));
  expect(phases.map(({ name }) => name)).toEqual(["warm-start", "adapter"]);
  expect(merges.length).toBeGreaterThanOrEqual(3);
});
