import { describe, expect, test } from "vitest";
import type { MetricsRecord } from "../runs/metrics.js";
import { conclusion } from "./conclusion.js";
import { renderStudyPage } from "./report-html.js";
import { renderStudyMarkdown } from "./report-markdown.js";
import { kindSpectrum } from "./spectra.js";
import type { Study } from "./study.js";
import { completeStudy, parseStudy } from "./study-config.js";
import type { RunPhase } from "./study-run.js";
import { type RunEvidence, type StudySummary, summarize } from "./summary.js";
import { seedTable } from "./tables.js";

const STUDY: Study = completeStudy(
  parseStudy(
    `
seeds: [0, 1, 2]
settings: {model: tiny, maxSteps: 8, warmStartSteps: 2, warmupSteps: 1, rank: 4, reloraEvery: 3, restartWarmupSteps: 0}
arms:
  full: {method: full}
  lora: {method: lora}
  relora: {method: relora}
`,
    "s.yaml",
    "s",
  ),
);

interface Ending {
  readonly loss: number | null;
  readonly phase?: RunPhase;
  /** Null for a merge that was not measured. */
  readonly mergeChanges?: readonly (number | null)[];
  readonly base?: string;
  readonly warmLoss?: number;
  readonly data?: string;
  readonly skips?: number;
}

function evidenceOf(
  arm: string,
  seed: number,
  { loss, phase = "done", mergeChanges = [], base = `warm ${seed}`, warmLoss = 3, data = "d", skips = 0 }: Ending,
): RunEvidence {
  const { settings } = STUDY.arms.find(({ name }) => name === arm)!;
  const adapted = settings.method !== "full";
  const evaluated = (step: number, value: number | null): MetricsRecord =>
    ({ kind: "eval", step, loss: value, perplexity: 1, tokens: 10, sample: "" }) as MetricsRecord;
  const records = [
    { kind: "start", step: 0, parameters: 1000, trainableParameters: adapted ? 400 : 1000, quantizer: null },
    evaluated(0, 5),
    { kind: "step", step: 2, loss: 3.5, phase: adapted ? "warm-start" : "full" },
    evaluated(2, warmLoss),
    { kind: "step", step: 3, loss: 3, phase: adapted ? "adapter" : "full" },
    ...mergeChanges.map((change, i) => ({
      ...{ kind: "merge", step: 5 + i },
      ...(change === null
        ? { lossBefore: Number.NaN, lossAfter: Number.NaN }
        : { lossBefore: 2, lossAfter: 2 + change }),
    })),
    ...Array.from({ length: skips }, () => ({ kind: "skip", step: 4 })),
    evaluated(8, loss),
    {
      kind: "end",
      step: 8,
      outcome: "done",
      modelStep: 8,
      tokens: 800,
      seconds: 10 + seed,
      peakMemoryBytes: 100 + seed,
    },
  ] as unknown as MetricsRecord[];
  return {
    run: { arm, seed, folder: `runs/${arm}/${seed}`, settings: { ...settings, seed }, tokensPerStep: 100 },
    phase,
    step: 8,
    records: phase === "new" ? [] : records,
    files:
      phase === "new"
        ? null
        : {
            checkpointBytes: 50,
            adapted,
            baseSha256: adapted ? base : "random",
            dataSha256: data,
            checkpointSha256: "c",
          },
  };
}

/** Losses by arm and seed, and what else is special about a run. */
function summaryOf(losses: Readonly<Record<string, readonly (number | Ending)[]>>): StudySummary {
  return summarize(STUDY, evidenceFor(losses), { machines: ["linux x64"], spectra: null });
}

function evidenceFor(losses: Readonly<Record<string, readonly (number | Ending)[]>>): RunEvidence[] {
  return STUDY.seeds.flatMap((seed, i) =>
    STUDY.arms.map(({ name }) => {
      const ending = losses[name]![i]!;
      return evidenceOf(name, seed, typeof ending === "number" ? { loss: ending } : ending);
    }),
  );
}

// The gap is 0.2, 0.4, 0.2; ReLoRA closes 0.05 / 0.2, 0.2 / 0.4 and −0.05 / 0.2 of it.
const LOSSES = { full: [1, 1.1, 1.2], lora: [1.2, 1.5, 1.4], relora: [1.15, 1.3, 1.45] };

const armOf = (summary: StudySummary, name: string) => summary.arms.find((arm) => arm.name === name)!;

describe("the summary", () => {
  test("takes the loss of the finished model, also of runs that ended early", () => {
    const evidence = evidenceFor(LOSSES).map((known): RunEvidence => {
      if (known.run.arm !== "relora") return known;
      const records = known.records.slice(0, -1) as MetricsRecord[];
      const end = { ...known.records.at(-1)!, step: 6, outcome: "early", modelStep: 2 } as MetricsRecord;
      return { ...known, step: 6, records: [...records, end] };
    });
    const summary = summarize(STUDY, evidence, { machines: [], spectra: null });
    expect(armOf(summary, "relora").loss).toMatchObject({ n: 3, mean: 3 });
    expect(seedTable(summary).rows[2]).toEqual(["relora", ...Array(3).fill("3.0000, ended at step 6")]);
    expect(conclusion(summary).findings[0]).toContain("the arms differ in length");
  });

  test("pairs the seeds, by hand", () => {
    const summary = summaryOf(LOSSES);
    const relora = armOf(summary, "relora");
    expect(relora.loss!.mean).toBeCloseTo(1.3, 12);
    expect(relora.loss!.deviation).toBeCloseTo(0.15, 12);
    expect(relora.perplexity!.mean).toBeCloseTo((Math.exp(1.15) + Math.exp(1.3) + Math.exp(1.45)) / 3, 12);
    // Differences −0.05, −0.2, 0.05: mean −1/15, squares of the deviations 0.0316…
    expect(relora.overLow!.mean).toBeCloseTo(-0.2 / 3, 12);
    const squares = (0.05 / 3) ** 2 + (0.4 / 3) ** 2 + (0.35 / 3) ** 2;
    expect(relora.overLow!.standardError).toBeCloseTo(Math.sqrt(squares / 2 / 3), 12);
    expect(relora.overLow).toMatchObject({ n: 3, below: 2, above: 1, clear: false });
    expect(relora.overHigh!.mean).toBeCloseTo(0.2, 12);
    expect(relora.gapClosed!.mean).toBeCloseTo((0.25 + 0.5 - 0.25) / 3, 12);
    expect(summary.gap!.mean).toBeCloseTo(0.8 / 3, 12);
    expect(armOf(summary, "lora").gapClosed).toMatchObject({ mean: 0, deviation: 0 });
    expect(armOf(summary, "full").gapClosed).toMatchObject({ mean: 1, deviation: 0 });
    expect(armOf(summary, "lora").overLow).toBeNull();
  });

  test("leaves out of the gap the seeds without one", () => {
    const summary = summaryOf({ ...LOSSES, full: [1.3, 1.1, 1.2] });
    expect(armOf(summary, "relora").gapClosed).toMatchObject({ n: 2 });
    expect(armOf(summary, "relora").gapClosed!.mean).toBeCloseTo((0.5 - 0.25) / 2, 12);
  });

  test("has costs as means over the runs, and the worst merge", () => {
    const merged = { loss: 1, mergeChanges: [-3e-7, 1e-7] };
    const { seconds, peakMemoryBytes, tokens, trainableParameters, checkpointBytes, merges, mergeChange, mergesKept } =
      armOf(summaryOf({ ...LOSSES, relora: [merged, { ...merged, mergeChanges: [2e-7, 0] }, merged] }), "relora");
    expect([seconds, peakMemoryBytes, tokens, trainableParameters, checkpointBytes, merges]).toEqual([
      ...[11, 101, 800, 400, 50, 2],
    ]);
    expect(mergeChange).toBeCloseTo(3e-7, 15);
    expect(mergesKept).toBe(true);
  });

  test("says nothing of merges that were not measured", () => {
    const unmeasured = armOf(
      summaryOf({ ...LOSSES, relora: [{ loss: 1, mergeChanges: [null, null] }, 1, 1] }),
      "relora",
    );
    expect(unmeasured).toMatchObject({ merges: 2, mergeChange: null, mergesKept: null });
    const one = armOf(summaryOf({ ...LOSSES, relora: [{ loss: 1, mergeChanges: [null, 2e-7] }, 1, 1] }), "relora");
    expect(one.mergeChange).toBeCloseTo(2e-7, 15);
  });

  test("finds a merge that changed the loss", () => {
    const summary = summaryOf({ ...LOSSES, relora: [{ loss: 1, mergeChanges: [2e-4] }, 1, 1] });
    expect(armOf(summary, "relora").mergesKept).toBe(false);
    expect(conclusion(summary).grounds.join(" ")).toContain(
      "more than 0.0001 in relora (2.0e-4). That must not happen",
    );
    const broken = summaryOf({ ...LOSSES, relora: [{ loss: 1, mergeChanges: [Number.NaN] }, 1, 1] });
    expect(armOf(broken, "relora").mergesKept).toBe(false);
  });

  test("compares what is done, and counts what diverged", () => {
    const diverged: Ending = { loss: null, phase: "diverged", skips: 3 };
    const summary = summaryOf({ ...LOSSES, relora: [1.15, diverged, { loss: null, phase: "new" }] });
    expect(armOf(summary, "relora")).toMatchObject({ diverged: 1, loss: { n: 1, mean: 1.15, deviation: null } });
    expect(armOf(summary, "relora").runs.map(({ skipped }) => skipped)).toEqual([0, 3, 0]);
    expect(summary.runs).toEqual({ planned: 9, ended: 8 });
    const { findings } = conclusion(summary);
    expect(findings).toContain("Only 8 of 9 runs have ended; what follows is of these.");
    expect(findings).toContain("relora diverged with seed 1, at step 8.");
  });

  test("takes costs and merges from runs that have ended: others may show those of a shared warm start", () => {
    const begun: Ending = { loss: 9, phase: "begun", mergeChanges: [1] };
    const relora = armOf(
      summaryOf({ ...LOSSES, relora: [begun, begun, { loss: 1.2, mergeChanges: [1e-6] }] }),
      "relora",
    );
    expect(relora).toMatchObject({
      seconds: 10 + STUDY.seeds[2]!,
      mergeChange: expect.closeTo(1e-6, 9),
      mergesKept: true,
    });
    const none = armOf(summaryOf({ ...LOSSES, relora: [begun, begun, begun] }), "relora");
    expect(none).toMatchObject({ tokens: null, quantizer: null, merges: 0, mergesKept: null });
  });

  test("takes a loss that is no number for none", () => {
    expect(armOf(summaryOf({ ...LOSSES, relora: [{ loss: null }, 1, 1] }), "relora").loss!.n).toBe(2);
  });

  test("groups the runs by the weights that their warm start ended in", () => {
    const same = summaryOf(LOSSES);
    expect(same.warmStarts[0]).toEqual({ seed: 0, step: 2, loss: 3, arms: ["lora", "relora"], passing: ["full"] });
    expect(conclusion(same).grounds.at(-1)).toContain("the same weights to the bit");
    const other = summaryOf({ ...LOSSES, relora: [{ loss: 1, base: "other", warmLoss: 3.5 }, 1, 1] });
    expect(other.warmStarts.filter(({ seed }) => seed === 0)).toEqual([
      { seed: 0, step: 2, loss: 3, arms: ["lora"], passing: ["full"] },
      { seed: 0, step: 2, loss: 3.5, arms: ["relora"], passing: [] },
    ]);
    expect(conclusion(other).grounds.at(-1)).toBe(
      "With seed 0 the warm starts ended in different weights: lora (step 2, loss 3.0000); relora (step 2, loss 3.5000).",
    );
  });

  test("knows when a seed's runs had different data", () => {
    const summary = summaryOf({ ...LOSSES, relora: [1, { loss: 1, data: "other" }, 1] });
    expect(summary.differentData).toEqual([1]);
    // Their losses are neither ranked nor counted among the differences.
    expect(summary.best).toBeNull();
    expect(summary.arms.find(({ name }) => name === "relora")!.overLow!.n).toBe(2);
    expect(conclusion(summary).grounds.at(-1)).toContain("With seed 1, not all arms were trained on the same tokens");
  });
});

describe("the conclusion", () => {
  test("claims what the numbers show", () => {
    const { findings } = conclusion(summaryOf({ ...LOSSES, lora: [1.3, 1.41, 1.5], relora: [1.32, 1.44, 1.52] }));
    expect(findings).toEqual([
      "3 arms with 3 seeds: 9 runs of 8 steps, 800 tokens each.",
      "The held-out loss of lora is above that of full by 0.3033 ± 0.0033 (with 3 of 3 seeds), clearly.",
      "That of relora is above that of lora by 0.0233 ± 0.0033 (with 3 of 3 seeds), clearly; it widens the gap by 8%.",
    ]);
  });

  test("says what may be chance", () => {
    const { findings, grounds } = conclusion(summaryOf(LOSSES));
    expect(findings.slice(1)).toEqual([
      "The held-out loss of lora is above that of full by 0.2667 ± 0.0667 (with 3 of 3 seeds), which may be chance.",
      "Such a gap may be chance, and shares of it mean little.",
      "That of relora is below that of lora by 0.0667 ± 0.0726 (with 2 of 3 seeds), which may be chance; it closes 17% of the gap.",
    ]);
    expect(grounds[0]).toContain("With 3 seeds the standard error itself is rough.");
  });

  test("does not take seeds for lengths: what they hold out differs, and so what is trained on", () => {
    const bySeed = (change: (arm: string, seed: number) => number): StudySummary => {
      const evidence = evidenceFor(LOSSES).map((known): RunEvidence => {
        const tokens = change(known.run.arm, known.run.seed);
        const records = known.records.map((record) => (record.kind === "end" ? { ...record, tokens } : record));
        return { ...known, records };
      });
      return summarize(STUDY, evidence, { machines: [], spectra: null });
    };
    expect(conclusion(bySeed((_, seed) => 800 + seed)).findings[0]).toBe(
      "3 arms with 3 seeds: 9 runs of 8 steps, 800 to 802 tokens each.",
    );
    expect(conclusion(bySeed((arm) => (arm === "lora" ? 900 : 800))).findings[0]).toContain(
      "the arms differ in length",
    );
  });

  test("says nothing of chance with one seed", () => {
    const undone: Ending = { loss: null, phase: "new" };
    const summary = summaryOf({
      full: [1, undone, undone],
      lora: [1.2, undone, undone],
      relora: [1.1, undone, undone],
    });
    expect(conclusion(summary).findings.at(-1)).toBe(
      "That of relora is below that of lora by 0.1000; it closes 50% of the gap.",
    );
    expect(conclusion(summary).grounds[0]).toBe("One seed cannot tell a difference from chance.");
  });

  test("has nothing to say of runs that have not begun", () => {
    const undone = STUDY.seeds.map((): Ending => ({ loss: null, phase: "new" }));
    const { findings, grounds } = conclusion(summaryOf({ full: undone, lora: undone, relora: undone }));
    expect(findings.at(-1)).toBe("There is no gap to measure yet: no seed is done with both lora and full.");
    expect(grounds).toEqual([]);
  });
});

test("singular values are counted over the layers of a kind, and averaged by their place", () => {
  const spectrum = kindSpectrum("q_proj", [
    [10, 0.2, 0.05],
    [4, 0.1, 0.08],
  ]);
  // Above 0.1: 10, 0.2, 4. Above a hundredth of 10 or of 4: 10, 0.2 and 4, 0.1, 0.08.
  expect(spectrum).toEqual({
    kind: "q_proj",
    layers: 2,
    values: [7, 0.15, 0.065],
    above: 3,
    aboveRelative: 5,
    total: 6,
  });
});

describe("the reports", () => {
  test("are tables in Markdown", () => {
    const text = renderStudyMarkdown(summaryOf(LOSSES));
    expect(text).toContain(
      "| relora | 3 of 3 | 1.3000 ± 0.1500 | 3.70 ± 0.55 | -0.0667 ± 0.0726 | +0.2000 ± 0.0289 | 17% ± 38% |",
    );
    expect(text).toContain("| lora | 1.2000 | 1.5000 | 1.4000 |");
    expect(text).toContain("| relora | method relora, schedule cosine\\_restarts |");
  });

  test("are a page that needs nothing but itself, whatever a title holds", async () => {
    const study = { ...STUDY, title: "<b>&", notes: "</script><script>alert(1)</script>" };
    const evidence = evidenceFor(LOSSES);
    const summary = summarize(study, evidence, { machines: ["linux <x64>"], spectra: null });
    const page = await renderStudyPage(study, evidence, summary);
    expect(page).toContain("<h1>&lt;b&gt;&amp;</h1>");
    expect(page).toContain("linux &lt;x64&gt;");
    expect(page).not.toContain("alert(1)</script>");
    expect(page.match(/<script/g)).toHaveLength(3);
    expect(page).not.toMatch(/\b(src|href)=/);
    const { charts } = JSON.parse(/<script id="page-data"[^>]*>(.*?)<\/script>/.exec(page)![1]!);
    expect(charts.map(({ title }: { title: string }) => title)).toEqual([
      "Held-out loss",
      "Held-out loss over that of lora",
      "Training loss",
      "Learning rate",
    ]);
    const [heldOut, difference] = charts;
    expect(heldOut.steps).toEqual([0, 2, 8]);
    const relora = heldOut.series.find(({ label }: { label: string }) => label === "relora");
    expect(relora.values[2]).toBeCloseTo(1.3, 12);
    expect([relora.band.low[2], relora.band.high[2]]).toEqual([1.15, 1.45]);
    expect(difference.steps).toEqual([2, 8]);
    const over = difference.series.find(({ label }: { label: string }) => label === "relora").values;
    expect(over[0]).toBe(0);
    expect(over[1]).toBeCloseTo(-0.2 / 3, 12);
  });
});
