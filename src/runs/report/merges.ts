import { formatLoss, formatNumber, formatShare } from "../../base/numbers.js";
import type { MergedLayer } from "../../relora/merge-report.js";
import type { MergeRecord } from "../metrics.js";
import { card, numbers } from "./html.js";
import { byKind, meanText } from "./layer-kinds.js";

/** A column of a table of merges or layers. */
type Column<T> = readonly [head: string, text: (row: T) => string];

/** All merges of a run, one a row. */
export function mergesCard(merges: readonly MergeRecord[]): string {
  const policy = policyOf(merges);
  const isWhenFull = merges.some(({ fullness }) => fullness !== undefined);
  const columns: Column<MergeRecord>[] = [
    ["Cycle", ({ cycle }) => String(cycle)],
    ["Step", ({ step }) => String(step)],
    ...(isWhenFull ? fullnessColumns : []),
    ["Loss before", ({ lossBefore }) => formatLoss(lossBefore)],
    ["Loss after", ({ lossAfter }) => formatLoss(lossAfter)],
    ["|ΔW|", ({ deltaNorm }) => formatNumber(deltaNorm)],
    ...(policy === null ? [] : recoveryColumns),
    ["Logits moved", ({ probeLogitsChange }) => probeLogitsChange.toExponential(1)],
    ["Rank", rankText],
  ];
  const measured = "the held-out loss right before and after, and the largest change of any logit of a probe batch";
  const note =
    policy !== null
      ? `Quantized weights take up an update only as far as their codes can express it (policy: ${policy}): ` +
        `${measured}; the share of the update found in the weights that compute, and of the codes that changed. ` +
        "The last cycle goes to the exact weights alone, which hold all of it; the trained weights stay as they are."
      : `A merge must not change what the model computes: ${measured}.`;
  return card("Merges", isWhenFull ? `${note} ${FULLNESS_NOTE}` : note, table(columns, merges));
}

const FULLNESS_NOTE =
  "Adapters restarted when they were full: when a step at the end of a cycle gained less than three quarters of the " +
  "mean over that cycle and the one before.";

const fullnessColumns: readonly Column<MergeRecord>[] = [
  ["Gain of 100 steps", ({ fullness }) => (fullness === undefined ? "–" : formatNumber(100 * fullness.gain))],
  ["Mean gain", ({ fullness }) => (fullness === undefined ? "–" : formatNumber(100 * fullness.meanGain))],
];

/** The last merge into quantized weights, as means over the layers of each kind; nothing for float32 weights. */
export function layerKindsCard(merges: readonly MergeRecord[]): string {
  const last = merges.findLast(({ policy }) => policy !== null);
  if (last === undefined) return "";
  const columns: Column<[string, MergedLayer[]]>[] = [
    ["Kind", ([kind]) => kind],
    ["Layers", ([, layers]) => String(layers.length)],
    ["|ΔW|", ([, layers]) => meanOf(layers, "deltaNorm", formatNumber)],
    ["Recovered", ([, layers]) => meanOf(layers, "recovered", formatShare)],
    ["Codes changed", ([, layers]) => meanOf(layers, "codesChanged", formatShare)],
    ["Rank", ([, layers]) => meanOf(layers, "rank", (rank) => rank.toFixed(1))],
  ];
  return card(
    "Last merge by kind of layer",
    `Means over the layers of a kind, at step ${last.step}.`,
    table(columns, [...byKind(last.layers)]),
  );
}

/** Each layer of the last merge, beside its rank after the first. */
export function layersCard(merges: readonly MergeRecord[]): string {
  const first = new Map(merges[0]?.layers.map((layer) => [layer.name, layer.rank]));
  const columns: Column<MergedLayer>[] = [
    ["Layer", ({ name }) => name],
    ["|ΔW|", ({ deltaNorm }) => formatNumber(deltaNorm)],
    ...(policyOf(merges) === null ? [] : recoveryColumns),
    ["First rank", ({ name }) => String(first.get(name) ?? "–")],
    ["Last rank", ({ rank }) => String(rank ?? "–")],
  ];
  const layers = table(columns, merges.at(-1)?.layers ?? []);
  return `<details class="card"><summary>Layers at the last merge</summary><div class="layers">${layers}</div></details>`;
}

/** Measures of a merge into quantized weights, over all layers or of one. */
const recoveryColumns: readonly Column<Pick<MergedLayer, "recovered" | "codesChanged">>[] = [
  ["Recovered", ({ recovered }) => formatShare(recovered)],
  ["Codes changed", ({ codesChanged }) => (codesChanged === null ? "–" : formatShare(codesChanged))],
];

/** The sum of the ranks, with the number of layers where it is not that of all. */
function rankText({ rank, layers }: MergeRecord): string {
  const known = layers.filter((layer) => layer.rank !== null).length;
  return known === 0 ? "–" : known === layers.length ? String(rank) : `${rank} (${known} layers)`;
}

/** The policy by which quantized weights took up the merges; null for float32 weights. */
export function policyOf(merges: readonly MergeRecord[]): string | null {
  return merges.find(({ policy }) => policy !== null)?.policy ?? null;
}

function meanOf(
  layers: readonly MergedLayer[],
  key: Exclude<keyof MergedLayer, "name">,
  format: (value: number) => string,
): string {
  return meanText(
    layers.map((layer) => layer[key]),
    format,
  );
}

function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  return numbers(
    columns.map(([head]) => head),
    rows.map((row) => columns.map(([, text]) => text(row))),
  );
}
