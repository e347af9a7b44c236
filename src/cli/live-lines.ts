import { formatBytes, formatChange, formatCount, formatDuration, formatNumber, formatShare } from "../base/numbers.js";
import type { Fullness } from "../relora/cycle-losses.js";
import { rankText } from "../relora/merge-report.js";
import type { PhaseName } from "../relora/plan.js";
import type {
  EndRecord,
  EvalRecord,
  MergeRecord,
  QuantizeRecord,
  ResetRecord,
  RunOutline,
  SkipRecord,
  StartRecord,
  StepRecord,
} from "../runs/metrics.js";
import { describeJob, type MemoryEstimate, totalBytes } from "../runs/metrics.js";
import type { Warning } from "../runs/warnings.js";
import { cutToWidth, fillLines, type Style, singleLine, textWidth } from "./terminal.js";

// One pure function for each kind of line that training shows. Text comes without a newline at its end.

const LABEL_COLUMNS = 8;

const PHASES: Readonly<Record<PhaseName, readonly [name: string, meaning: string]>> = {
  full: ["Full training", "every weight trains"],
  "warm-start": ["Warm start", "every weight trains before the adapters take over"],
  adapter: ["Adapters", "low-rank updates train on frozen weights"],
};

/** Kind of the line, in a column of its own. */
function label(name: string, color: (text: string) => string): string {
  return color(name) + " ".repeat(LABEL_COLUMNS - name.length);
}

/** A warning about the run, in as many lines as it takes. */
export function warningLines({ text }: Warning, columns: number, style: Style): string[] {
  return labelled(label("warning", style.yellow), singleLine(text).split(" "), { gap: " ", columns });
}

/** The pieces in lines of `columns` columns, the label before the first and the same indent before the others. */
function labelled(
  head: string,
  pieces: readonly string[],
  { gap, columns, paint = (piece) => piece }: { gap: string; columns: number; paint?: (piece: string) => string },
): string[] {
  return fillLines(pieces, gap.length, columns - LABEL_COLUMNS).map(
    (line, index) => `${index === 0 ? head : " ".repeat(LABEL_COLUMNS)}${line.map(paint).join(gap)}`,
  );
}

/** The lines above the live line: what is trained, where, on what, and the plan. */
export function headerLines(start: StartRecord, columns: number, style: Style): string[] {
  const share = formatShare(start.trainableParameters / (start.parameters || 1));
  const trainable = `${formatCount(start.trainableParameters)} trainable (${share})`;
  const from = start.step === 0 ? "" : `, continuing after step ${start.step}`;
  const row = (name: string, words: readonly string[], color = style.dim): string[] =>
    labelled(label(name, color), words, { gap: " ", columns });
  const text = (name: string, value: string): string[] => row(name, value.split(" "));
  const tooMuch = totalBytes(start.memory) > start.availableMemoryBytes;
  const { outline } = start;
  return [
    ...text("model", `${start.model}, ${formatCount(start.parameters)} parameters, ${trainable}`),
    ...(outline === undefined ? [] : text("job", `${describeJob(outline)}: ${outline.method}`)),
    ...(start.quantizer === null ? [] : text("base", start.quantizer)),
    ...(outline === undefined ? [] : text("rate", outline.rate)),
    ...text("data", start.data),
    ...(outline === undefined
      ? []
      : [
          ...text("rows", rowWords(outline)),
          ...text("steps", stepWords(outline) + (outline.hasCycles ? "" : from)),
          ...row("valid", heldOutWords(outline).split(" "), outline.isRough ? style.yellow : style.dim),
        ]),
    ...(outline?.unreachableLoss == null
      ? []
      : row("needs", needWords(outline.unreachableLoss).split(" "), style.yellow)),
    ...(outline?.hasCycles === false ? [] : text("plan", `${start.plan}${from}`)),
    ...row("memory", memoryWords(start.memory, start.availableMemoryBytes), tooMuch ? style.yellow : style.dim),
    ...text("device", start.device),
    ...(start.ranks === undefined ? [] : text("ranks", start.ranks)),
    ...(start.change === undefined ? [] : text("change", start.change)),
    ...text("run", start.runFolder),
  ];
}

function needWords(loss: number): string {
  return (
    `--train-modules embeddings,norms,head: the head of this model is weak, ` +
    `and while it is frozen the loss stays above about ${loss.toFixed(1)}`
  );
}

/** The length of rows, how many of them a step takes, and how much of them is padding. */
function rowWords({ rowLength, batchSize, totalBatchSize, padding }: RunOutline): string {
  const step =
    totalBatchSize === batchSize ? `${batchSize} a step` : `${totalBatchSize} a step, ${batchSize} at a time`;
  if (padding === null) return `samples of up to ${rowLength} tokens, none of them padded; ${step}`;
  const share = padding === 0 ? "" : `, ${formatShare(padding)} padding`;
  const hint = padding < MUCH_PADDING ? "" : " (--packing separate computes none of it)";
  return `${rowLength} tokens each${share}${hint}; ${step}`;
}

/** Share of padding above which several samples in a row save much. */
const MUCH_PADDING = 0.5;

function stepWords({ maxSteps, epochs, stepsPerEpoch }: RunOutline): string {
  const [passes, each, inStep] = [epochs, stepsPerEpoch, 1 / stepsPerEpoch].map((n) => Number(n.toPrecision(3)));
  const words = `${maxSteps}: ${passes} ${passes === 1 ? "epoch" : "epochs"}`;
  return stepsPerEpoch < 1 ? `${words}, ${inStep} in each step` : `${words} of ${each}`;
}

function heldOutWords({ heldOutSamples, heldOutTokens, evaluated, isRough, ...rest }: RunOutline): string {
  const size =
    heldOutSamples === null
      ? `${formatCount(heldOutTokens)} tokens`
      : `${heldOutSamples} sample${heldOutSamples === 1 ? "" : "s"}`;
  const part = evaluated === 1 ? "" : `, ${formatShare(evaluated)} of them at a time`;
  const rough = isRough ? "; so few that the loss on them is rough" : "";
  return `${size} held out, ${rest.heldOut}; ${rest.evaluations}${part}${rough}`;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** The estimate, what is at hand, and each part that is not empty, keeping a name and its number together. */
function memoryWords(memory: MemoryEstimate, available: number): string[] {
  const total = totalBytes(memory);
  const { program, data, base, adapters, gradients, optimizer, activations } = memory;
  const parts = Object.entries({ program, data, base, adapters, gradients, optimizer, activations });
  const [unit, unitBytes, digits] = total < 10 * GIB ? (["MiB", MIB, 0] as const) : (["GiB", GIB, 1] as const);
  const least = 10 ** -digits;
  const size = (bytes: number): string =>
    bytes / unitBytes < least / 2 ? `<${least}` : (bytes / unitBytes).toFixed(digits);
  const shown = parts.filter(([, bytes]) => bytes > 0).map(([name, bytes]) => `${name} ${size(bytes)}`);
  const comparison = total > available ? ["more", "than", "the"] : ["of"];
  return [
    "about",
    `${formatBytes(total)}${total > available ? "," : ""}`,
    ...comparison,
    formatBytes(available),
    "available:",
    ...shown.map((part, index) => (index < shown.length - 1 ? `${part},` : `${part} (${unit})`)),
  ];
}

/** Says which phase begins and what that means. */
export function phaseLine(phase: PhaseName, style: Style): string {
  const [name, meaning] = PHASES[phase];
  return `${style.cyan(name)}: ${meaning}`;
}

/** The time that the steps to come will take. */
export function timeLine(seconds: number, steps: number, style: Style): string {
  return `${label("time", style.dim)}about ${formatDuration(seconds)} for the next ${steps} steps, by the first ones`;
}

/** `987`, `1.2K`, `12K`: a number that changes while one looks at it needs no more digits. */
function shortCount(count: number): string {
  return count < 1000 ? count.toFixed(0) : `${(count / 1000).toFixed(count < 9950 ? 1 : 0)}K`;
}

/** Tokens that are computed, and where these are others the scored ones. */
function speedParts({ computedPerSecond, tokensPerSecond }: StepRecord): [name: string, value: string, unit: string][] {
  const scored = shortCount(tokensPerSecond);
  const computed = computedPerSecond === undefined ? scored : shortCount(computedPerSecond);
  return computed === scored
    ? [["", computed, " tok/s"]]
    : [
        ["", computed, " tok/s"],
        ["", scored, " scored"],
      ];
}

export interface StepLineOptions {
  readonly maxSteps: number;
  readonly secondsLeft: number | undefined;
  /** Updates left out so far; shown where there are any. */
  readonly skipped?: number;
  readonly columns: number;
}

/**
 * The live line: step, loss, learning rate, gradient norm, speed, cycle, time left. It takes 79 columns up to 99,999
 * steps and 99 cycles; if `columns` are too few, the last parts are left out.
 */
export function stepLine(
  record: StepRecord,
  { maxSteps, secondsLeft, skipped = 0, columns }: StepLineOptions,
  style: Style,
): string {
  const step = String(record.step).padStart(String(maxSteps).length);
  const parts: [name: string, value: string, unit: string][] = [
    ["", `${step}/${maxSteps}`, ""],
    ["loss ", record.loss.toFixed(4), ""],
    ["lr ", record.learningRate === 0 ? "0" : record.learningRate.toExponential(1), ""],
    ["grad ", record.gradNorm >= 100 ? record.gradNorm.toFixed(0) : record.gradNorm.toPrecision(2), ""],
    ...speedParts(record),
  ];
  if (record.cycle > 0) parts.push(["cycle ", String(record.cycle), ""]);
  if (skipped > 0) parts.push(["", String(skipped), " skipped"]);
  if (secondsLeft !== undefined) parts.push(["", formatDuration(secondsLeft).replace(" ", ""), " left"]);
  let line = "";
  let width = 0;
  for (const [name, value, unit] of parts) {
    const gap = width === 0 ? "" : "  ";
    width += gap.length + textWidth(name + value + unit);
    if (width > columns) break;
    line += `${gap}${style.dim(name)}${value}${style.dim(unit)}`;
  }
  return line;
}

/** An evaluation, and under it the sample of text, cut to `columns`. */
export function evalLines(
  record: EvalRecord,
  previous: EvalRecord | undefined,
  columns: number,
  style: Style,
): string[] {
  const numbers = `loss ${record.loss.toFixed(4)}  perplexity ${formatNumber(record.perplexity)}`;
  const change = previous === undefined ? "" : style.dim(`  (${formatChange(record.loss - previous.loss)})`);
  const sample = cutToWidth(singleLine(record.sample), columns - LABEL_COLUMNS);
  const head = `${label("eval", style.green)}step ${record.step}  ${style.bold(numbers)}${change}`;
  return sample === "" ? [head] : [head, `${" ".repeat(LABEL_COLUMNS)}${style.dim(sample)}`];
}

/** The quantization of the base: its format, its error, the change of the loss, and the size. */
export function quantizeLines(record: QuantizeRecord, columns: number, style: Style): string[] {
  const pieces = [
    record.quantizer,
    `error ${formatShare(record.relativeError)}`,
    ...lossPieces(record.lossBefore, record.lossAfter),
    formatBytes(record.bytes),
  ];
  return labelled(label("quant", style.green), pieces, { gap: "  ", columns });
}

/** The share of an update that quantized weights must take up in a merge for it to have merged what was learned. */
const SOUND_RECOVERY: readonly [least: number, most: number] = [0.5, 1.5];

/**
 * A merge: the change of the loss, the size of the update, and the rank that the merged updates have reached. On
 * quantized weights also the share of the update that they took up, in yellow if it is far from all, and the share of
 * codes that changed.
 */
export function mergeLines(record: MergeRecord, columns: number, style: Style): string[] {
  const { fullness } = record;
  const pieces = [
    `cycle ${record.cycle}`,
    ...(fullness === undefined ? [] : [`full after ${fullness.steps} steps`, gainText(fullness)]),
    ...lossPieces(record.lossBefore, record.lossAfter),
    `|ΔW| ${formatNumber(record.deltaNorm)}`,
  ];
  const rank = rankText(record.layers);
  if (rank !== null) pieces.push(rank);
  const [least, most] = SOUND_RECOVERY;
  const verdict = record.recovered < least ? ", largely lost" : record.recovered > most ? ", far too much" : "";
  const recovered = `recovered ${formatShare(record.recovered)}${verdict}`;
  if (record.policy !== null) pieces.push(recovered);
  if (record.codesChanged !== null) pieces.push(`codes changed ${formatShare(record.codesChanged)}`);
  const paint = (piece: string): string => (verdict !== "" && piece === recovered ? style.yellow(piece) : piece);
  return labelled(label("merge", style.green), pieces, { gap: "  ", columns, paint });
}

/** The present gain of a hundred steps beside the mean. */
function gainText({ gain, meanGain }: Fullness): string {
  return `gain ${formatNumber(100 * gain)} of ${formatNumber(100 * meanGain)} a 100 steps`;
}

/** Nothing where the loss was not measured. */
function lossPieces(before: number | null, after: number): string[] {
  if (Number.isNaN(after)) return [];
  return [`loss ${before === null || Number.isNaN(before) ? "" : `${before.toFixed(4)} -> `}${after.toFixed(4)}`];
}

export function resetLine(record: ResetRecord, style: Style): string {
  return `${label("reset", style.dim)}${formatShare(record.zeroedFraction)} of the adapters' optimizer state is zero`;
}

export function skipLine(record: SkipRecord, style: Style): string {
  const { step, reason, inARow, skipped } = record;
  const counts = `${inARow} in a row, ${skipped} in all`;
  return `${label("skip", style.yellow)}step ${step} changed nothing: ${singleLine(reason)} (${counts})`;
}

const OUTCOMES: Readonly<Record<EndRecord["outcome"], string>> = {
  ...{ done: "done", early: "early", stopped: "stop", diverged: "fail" },
};

/** The last line: steps, tokens, time, peak memory. */
export function endLine(record: EndRecord, style: Style): string {
  const isFinished = record.outcome === "done" || record.outcome === "early";
  const color = isFinished ? style.green : style.yellow;
  const skipped = record.skipped > 0 ? `, ${record.skipped} skipped` : "";
  const work = `${record.step} steps${skipped}, ${formatCount(record.tokens)} tokens`;
  const cost = `in ${formatDuration(record.seconds)}, peak memory ${formatBytes(record.peakMemoryBytes)}`;
  const sent = record.sentBytes === undefined ? "" : `, ${formatBytes(record.sentBytes)} sent to other ranks`;
  return `${label(OUTCOMES[record.outcome], color)}${work} ${cost}${sent}`;
}
