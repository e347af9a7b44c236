import { exists, joinPath, makeFolder, readText, sha256, writeFileAtomic } from "#platform";
import { targetedLinears } from "../adapters/inject.js";
import { MERGE_POLICY_KINDS } from "../adapters/merge-policies.js";
import { matrixSingularValues } from "../adapters/spectrum.js";
import { smallest } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import { openTensors, openWeights } from "../loading/folder-source.js";
import { describeModel } from "../models/architectures.js";
import { RANK_THRESHOLD, RELATIVE_THRESHOLD } from "../relora/merge-report.js";
import { mergedDirections } from "../relora/plan.js";
import { targetRule } from "../relora/settings-adapters.js";
import { byKind } from "../runs/report/layer-kinds.js";
import { Rng } from "../tensor/random.js";
import type { Study } from "./study.js";
import { lossAt, type RunEvidence, summarizeRun } from "./summary.js";

/**
 * Singular values of W_end − W_start, W_start being the weights at the end of the warm start, of the layers of one
 * kind.
 */
export interface KindSpectrum {
  /** The last part of the layers' names. */
  readonly kind: string;
  readonly layers: number;
  /** The i-th largest value of a layer, as a mean over the layers. */
  readonly values: readonly number[];
  /** The number of values above the thresholds in all layers together, and the number of all values. */
  readonly above: number;
  readonly aboveRelative: number;
  readonly total: number;
}

export interface ArmSpectra {
  readonly arm: string;
  readonly kinds: readonly KindSpectrum[];
  /** The most that the merges allow in a layer, the directions that they took; null for full-rank training. */
  readonly bound: number | null;
  /** True if the weights were rounded at merges; that error is then part of the update. */
  readonly rounded: boolean;
}

/** Spectra of the runs of one seed. */
export interface LayerSpectra {
  readonly seed: number;
  readonly arms: readonly ArmSpectra[];
  /** Why an arm has none. */
  readonly without: readonly { readonly arm: string; readonly why: string }[];
}

/**
 * The spectra of the first seed with a finished run; null if there is none. Computed spectra are kept in OUT/spectra.
 */
export async function readSpectra(
  { seeds, arms, reference }: Study,
  evidence: readonly RunEvidence[],
  out: string,
): Promise<LayerSpectra | null> {
  const seed = seeds.find((one) => evidence.some(({ run, phase }) => run.seed === one && phase === "done"));
  if (seed === undefined) return null;
  const ofSeed = new Map(evidence.filter(({ run }) => run.seed === seed).map((known) => [known.run.arm, known]));
  const low = ofSeed.get(reference.low)!;
  const found: ArmSpectra[] = [];
  const without: { arm: string; why: string }[] = [];
  for (const { name: arm } of arms) {
    const known = ofSeed.get(arm)!;
    const start = startOf(known, low);
    if ("why" in start) {
      without.push({ arm, why: start.why });
      continue;
    }
    const { settings, folder } = known.run;
    const key = sha256(new TextEncoder().encode(`${start.sha256} ${known.files!.checkpointSha256}`));
    const kinds = await kept(joinPath(out, "spectra", `${arm}-seed-${seed}.json`), key, () =>
      kindSpectra(start.folder, joinPath(folder, "model"), low.run.settings),
    );
    const adapted = settings.method !== "full";
    const restarts = known.records.flatMap((record) => (record.kind === "merge" ? [record.step] : []));
    found.push({
      arm,
      kinds,
      bound: adapted ? mergedDirections({ ...settings, restarts }, settings.rank) : null,
      rounded:
        adapted && settings.quantize !== "none" && MERGE_POLICY_KINDS[settings.mergePolicy].exactFrom === "layer",
    });
  }
  return { seed, arms: found, without };
}

/** The weights that an arm's update is measured from. */
function startOf(known: RunEvidence, low: RunEvidence): { folder: string; sha256: string } | { why: string } {
  const { run, phase, files } = known;
  if (phase !== "done" || files === null) return { why: phase === "diverged" ? "it diverged" : "it is not done" };
  const { method, model } = run.settings;
  if (method !== "full") return { folder: joinPath(run.folder, "base"), sha256: files.baseSha256 };
  const lowBase = { folder: joinPath(low.run.folder, "base"), sha256: low.files?.baseSha256 ?? "" };
  if (low.run.settings.model !== model) return { why: `its model is not that of ${low.run.arm}` };
  if (low.run.settings.warmStartSteps === 0 && lowBase.sha256 === files.baseSha256) return lowBase;
  const { warm } = summarizeRun(low);
  if (warm === null) return { why: `${low.run.arm} has not ended its warm start` };
  const passed = lossAt(known.records, warm.step);
  if (passed === warm.loss) return lowBase;
  return {
    why:
      passed === null
        ? `it was not evaluated after step ${warm.step}, where the warm start of ${low.run.arm} ends: ` +
          "choose an evalEvery that divides that"
        : `it does not pass through the warm start of ${low.run.arm}: give all arms the same warmupSteps and lr`,
  };
}

/** The value that the file holds under that key, or else the result of `compute`, which is then written there. */
async function kept(
  file: string,
  key: string,
  compute: () => Promise<KindSpectrum[]>,
): Promise<readonly KindSpectrum[]> {
  if (await exists(file)) {
    const stored = JSON.parse(await readText(file)) as { key: string; kinds: readonly KindSpectrum[] };
    if (stored.key === key) return stored.kinds;
  }
  const kinds = await compute();
  await makeFolder(joinPath(file, ".."));
  await writeFileAtomic(file, `${JSON.stringify({ key, kinds })}\n`);
  return kinds;
}

async function kindSpectra(start: string, end: string, settings: Settings): Promise<KindSpectrum[]> {
  const [before, after] = [await openWeights(start), await openWeights(end)];
  const model = describeModel((await openTensors(end)).config).create(new Rng(0));
  const layers = [...targetedLinears(model, targetRule(settings))].map(([name, { linear }]) => ({
    name,
    rows: linear.outFeatures,
  }));
  const kinds: KindSpectrum[] = [];
  for (const [kind, ofKind] of byKind(layers)) {
    const spectra: number[][] = [];
    for (const { name, rows } of ofKind) {
      const update = (await after(`${name}.weight`)).slice();
      const from = await before(`${name}.weight`);
      for (let i = 0; i < update.length; i++) update[i]! -= from[i]!;
      spectra.push(matrixSingularValues(update, rows));
    }
    if (spectra.length > 0) kinds.push(kindSpectrum(kind, spectra));
  }
  return kinds;
}

/** @param spectra singular values of each layer, largest first. */
export function kindSpectrum(kind: string, spectra: readonly (readonly number[])[]): KindSpectrum {
  const count = (limit: (largest: number) => number): number =>
    spectra.reduce((sum, values) => sum + values.filter((value) => value > limit(values[0]!)).length, 0);
  const length = smallest(spectra.map((values) => values.length));
  const mean = (i: number): number => spectra.reduce((sum, values) => sum + values[i]!, 0) / spectra.length;
  return {
    kind,
    layers: spectra.length,
    values: Array.from({ length }, (_, i) => Number(mean(i).toPrecision(4))),
    above: count(() => RANK_THRESHOLD),
    aboveRelative: count((largest) => RELATIVE_THRESHOLD * largest),
    total: spectra.reduce((sum, values) => sum + values.length, 0),
  };
}
