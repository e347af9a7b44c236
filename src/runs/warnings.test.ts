import { describe, expect, test } from "vitest";
import type { EvalRecord, MergeRecord, MetricsRecord, StartRecord, StepRecord } from "./metrics.js";
import { runWarnings, type WarningKind } from "./warnings.js";

/** Noise of a batch's loss from -1 to 1, the same in each test. */
function noise(step: number): number {
  const x = Math.sin(step * 12.9898) * 43758.5453;
  return 2 * (x - Math.floor(x)) - 1;
}

interface Shape {
  readonly steps: number;
  readonly loss: (step: number) => number;
  readonly gradNorm?: (step: number) => number;
  readonly maxSteps?: number;
  readonly phase?: StepRecord["phase"];
}

function stepsOf({ steps, loss, gradNorm = () => 1, phase = "adapter" }: Shape): StepRecord[] {
  return Array.from({ length: steps }, (_, i) => ({
    ...({ kind: "step", step: i + 1, tokens: 100 * i, loss: loss(i + 1), learningRate: 2e-4 } as const),
    ...{ gradNorm: gradNorm(i + 1), tokensPerSecond: 10, cycle: 1, phase },
  }));
}

function evaluation(step: number, loss: number, standardError?: number): EvalRecord {
  const measured = { loss, perplexity: Math.exp(loss), tokens: 100, sample: "" };
  return { kind: "eval", step, ...measured, ...(standardError !== undefined && { standardError }) };
}

function merge(step: number, deltaNorm: number): MergeRecord {
  const nothing = { policy: null, lossBefore: 1, lossAfter: 1, recovered: 1, codesChanged: null };
  return { kind: "merge", step, cycle: 1, deltaNorm, ...nothing, probeLogitsChange: 0, rank: 1, layers: [] };
}

const BYTES = { program: 1, data: 1, base: 1, adapters: 1, gradients: 1, optimizer: 1, activations: 1 };

function startOf(maxSteps: number, outline: Record<string, unknown> = {}): StartRecord {
  return {
    ...({ kind: "start", step: 0, model: "tiny", parameters: 1, trainableParameters: 1, quantizer: null } as const),
    ...{ memory: BYTES, availableMemoryBytes: 1, device: "cpu", data: "a.txt", maxSteps, plan: "", runFolder: "a" },
    outline: { rowLength: 64, heldOutSamples: null, evaluated: 1, ...outline } as never,
  };
}

function warningsOf(shape: Shape, others: readonly MetricsRecord[] = [], outline = {}): [WarningKind, string][] {
  const records = [...stepsOf(shape), ...others].sort((a, b) => a.step - b.step);
  const all = [startOf(shape.maxSteps ?? shape.steps, outline), ...records];
  return runWarnings(all).map(({ kind, text }) => [kind, text]);
}

const kindsOf = (...given: Parameters<typeof warningsOf>): WarningKind[] => warningsOf(...given).map(([kind]) => kind);

const falling = (from: number, to: number, steps: number) => (step: number) =>
  to + (from - to) * Math.exp((-4 * step) / steps);

describe("runs that go as they should are not warned about", () => {
  test.each<[name: string, shape: Shape, others?: readonly MetricsRecord[]]>([
    ["from scratch", { steps: 600, loss: (step) => falling(9, 4, 600)(step) + 0.15 * noise(step) }],
    [
      "a fine-tune in noisy small batches",
      {
        steps: 200,
        loss: (step) => falling(2.4, 1.9, 200)(step) * (1 + 0.5 * noise(step)),
        gradNorm: (step) => 2 + noise(step),
      },
      [evaluation(0, 2.4, 0.05), evaluation(100, 2, 0.05), evaluation(200, 1.95, 0.05)],
    ],
    [
      "ReLoRA with teeth after its restarts",
      {
        steps: 400,
        loss: (step) => falling(6, 3.5, 400)(step) + 0.1 * noise(step) + (step > 100 && step % 100 < 15 ? 2 : 0),
        gradNorm: (step) => (step > 100 && step % 100 < 15 ? 8 : 1),
      },
      [merge(99, 3), merge(199, 3), merge(299, 3), merge(399, 3)],
    ],
    ["warm-up, in which nothing falls yet", { steps: 30, maxSteps: 400, loss: (step) => 2.4 + 0.1 * noise(step) }],
    [
      "a warm-up that hurts at first",
      { steps: 40, maxSteps: 400, loss: falling(2.4, 2.2, 400) },
      [evaluation(0, 2.4, 0.01), evaluation(40, 2.45, 0.01)],
    ],
    [
      "a hard batch, with a gradient as any",
      { steps: 100, loss: (step) => (step === 60 ? 7 : falling(3, 2, 100)(step)) + 0.01 * noise(step) },
    ],
    [
      "memorized samples, near zero",
      { steps: 100, loss: (step) => falling(2, 0.01, 100)(step) + 0.3 * Math.abs(noise(step)) },
    ],
    ["two steps", { steps: 2, loss: () => 2 }],
    [
      "a training loss that hardly falls where the held-out loss does",
      { steps: 60, loss: (step) => 2.4 + 0.2 * noise(step) },
      [evaluation(0, 2.5, 0.02), evaluation(60, 2.3, 0.02)],
    ],
  ])("%s", (_, shape, others) => {
    expect(warningsOf(shape, others)).toEqual([]);
  });
});

describe("what the numbers say is said", () => {
  test("a rate that is far too high, in a short run too", () => {
    const [[kind, text]] = warningsOf({ steps: 60, loss: (step) => Math.min(7.4, 2.4 + step) }) as [[string, string]];
    expect(kind).toBe("rate-too-high");
    expect(text).toBe(
      "Training made the model worse: its loss rose from 3.4000 to 7.4000. The learning rate of 2e-4 is too high; " +
        "train again with a tenth of it.",
    );
    expect(kindsOf({ steps: 3, loss: (step) => 2 * step })).toEqual(["rate-too-high"]);
    expect(kindsOf({ steps: 4, maxSteps: 60, loss: (step) => 2 * step })).toEqual([]);
  });

  test("a loss that falls and then rises, before it is above its start", () => {
    const loss = (step: number) => (step <= 100 ? falling(6, 3, 100)(step) : Math.min(5, 3 + 0.1 * (step - 100)));
    const [[kind, text]] = warningsOf({ steps: 150, maxSteps: 400, loss }) as [[string, string]];
    expect(kind).toBe("rate-too-high");
    expect(text).toMatch(/^The training loss rises: its mean was 3\.\d{4} up to step 1\d\d and is 5\.0000 now\./);
    expect(text).toContain("lengthen the warm-up");
    const steps = stepsOf({ steps: 150, loss }).map((record) =>
      record.step <= 100 ? record : { ...record, learningRate: 5e-5 },
    );
    const resumed = [startOf(400), ...steps.slice(0, 100), { ...startOf(400), step: 100 }, ...steps.slice(100)];
    expect(runWarnings(resumed)[0]!.text).toContain("The learning rate of 5e-5 is too high");
  });

  test("a loss that stands still", () => {
    const still = { steps: 60, loss: (step: number) => 2.4 + 0.01 * noise(step) };
    expect(kindsOf(still)).toEqual(["not-learning"]);
    expect(warningsOf(still)[0]![1]).toMatch(
      /^Training has not lowered the loss: it was 2\.\d{4} in the first steps and/,
    );
    expect(kindsOf({ ...still, maxSteps: 200 })).toEqual([]);
  });

  test("a held-out loss that rose, learned by heart or by too high a rate", () => {
    const evals = [evaluation(0, 2.4, 0.1), evaluation(50, 2.2, 0.1), evaluation(100, 2.6, 0.1)];
    const [[kind, text]] = warningsOf({ steps: 100, loss: falling(2.4, 0.3, 100) }, evals) as [[string, string]];
    expect(kind).toBe("held-out-worse");
    expect(text).toBe(
      "The held-out loss is worse than before the training: 2.4000 before, 2.6000 after step 100; the lowest was " +
        "2.2000, after step 50. The model learns the training data by heart: take fewer epochs, a lower learning " +
        "rate, more data, or publish the best checkpoint instead of the last (load best).",
    );
    expect(
      warningsOf({ steps: 100, loss: () => 2.5 }, evals)
        .map(([, each]) => each)
        .join(),
    ).toContain("Train with a lower learning rate");
    // The first evaluation is not that of the start.
    expect(kindsOf({ steps: 100, loss: falling(2.4, 0.3, 100) }, evals.slice(1))).toEqual([]);
  });

  test("a gain that is less than the standard error of the loss, or that of a single sample", () => {
    const shape = { steps: 40, loss: falling(2.4, 2, 40) };
    const evals = (error?: number) => [evaluation(0, 2.4, error), evaluation(40, 2.3, error)];
    expect(warningsOf(shape, evals(0.2), { heldOutSamples: 5 })).toEqual([
      [
        "few-held-out",
        "The held-out loss changed by -0.1000, from 2.4000 to 2.3000, which is less than its standard error on 5 " +
          "samples, 0.2000. Hold out more data (validation fraction, or data of their own for validation).",
      ],
    ]);
    expect(kindsOf(shape, evals(0.09), { heldOutSamples: 5 })).toEqual([]);
    expect(kindsOf(shape, evals(), { heldOutSamples: 1 })).toEqual(["few-held-out"]);
    expect(kindsOf(shape, evals(), { heldOutSamples: 500 })).toEqual([]);
    expect(warningsOf(shape, evals(0.2), { heldOutSamples: 50, evaluated: 0.1 })[0]![1]).toMatch(
      /on 5 samples.*Evaluate on more tokens/,
    );
  });

  test("spikes of loss and gradient, several steps of one counted once", () => {
    const isSpike = (step: number) => [60, 61, 62, 90].includes(step);
    const shape = {
      steps: 100,
      loss: (step: number) => (isSpike(step) ? 4 + step / 100 : 2) + 0.05 * noise(step),
      gradNorm: (step: number) => (isSpike(step) ? 40 : 1),
    };
    const [[kind, text]] = warningsOf(shape, [evaluation(0, 2.5), evaluation(100, 2)]) as [[string, string]];
    expect(kind).toBe("spikes");
    expect(text).toMatch(
      /^2 spikes of the training loss, the largest at step 90: 4\.\d{4}, where the steps before had [12]\.\d{4}\./,
    );
    // The same right after merges are the teeth of restarts.
    expect(kindsOf(shape, [merge(59, 1), merge(89, 1), evaluation(0, 2.5), evaluation(100, 2)])).toEqual([]);
  });

  test("an adapter that did not move", () => {
    const evals = [evaluation(0, 2.4), evaluation(20, 2.4)];
    expect(kindsOf({ steps: 12, loss: () => 2.4, gradNorm: () => 0 }, evals)).toEqual(["adapter-unmoved"]);
    const merged = warningsOf({ steps: 12, loss: () => 2.4 }, [merge(12, 3e-9)]);
    expect(merged).toEqual([
      [
        "adapter-unmoved",
        "The adapter has not moved: the norm of what was merged is 3.0e-9. The learning rate of 2e-4 is too low.",
      ],
    ]);
    expect(kindsOf({ steps: 12, loss: () => 2.4 }, [merge(12, 3e-2)])).toEqual([]);
  });

  test("samples that are cut, before the first step", () => {
    const start = startOf(10, { cut: { samples: 3, tokens: 1234, of: 80 } });
    expect(runWarnings([start])).toEqual([
      {
        kind: "samples-cut",
        text: "3 of 80 samples are cut to 64 tokens, which leaves out 1.23K of their tokens. Raise the sequence length, or shorten them.",
      },
    ]);
    expect(runWarnings([startOf(10, { cut: { samples: 0, tokens: 0, of: 80 } })])).toEqual([]);
    expect(runWarnings([])).toEqual([]);
  });

  test("a step of more rows than the data have", () => {
    expect(runWarnings([startOf(10, { rowsPerEpoch: 5, totalBatchSize: 64 })])).toEqual([
      {
        kind: "data-in-a-step",
        text: "A step of 64 rows takes the data 12.8 times, as they are 5 rows. Lower the batch size, or train on more data.",
      },
    ]);
    expect(runWarnings([startOf(10, { rowsPerEpoch: 64, totalBatchSize: 64 })])).toEqual([]);
  });
});
