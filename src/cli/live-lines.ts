import type {
  EndRecord,
  EvalRecord,
  MergeRecord,
  ResetRecord,
  SkipRecord,
  StartRecord,
  StepRecord,
} from "../training/metrics.js";
import { formatBytes, formatCount, formatDuration, formatNumber, formatShare } from "../training/number-format.js";
import type { PhaseName } from "../training/relora.js";
import { cutToWidth, type Style, singleLine, textWidth } from "./terminal.js";

// One pure function for each kind of line that training shows. Each returns text without a newline at its end.

const LABEL_COLUMNS = 8;

const PHASES: Readonly<Record<PhaseName, readonly [name: string, meaning: string]>> = {
  full: ["Full training", "every weight trains"],
  "warm-start": ["Warm start", "every weight trains before the adapters take over"],
  adapter: ["Adapters", "low-rank updates train on frozen weights"],
};

/** What kind of line this is, in a column of its own. */
function label(name: string, color: (text: string) => string): string {
  return color(name) + " ".repeat(LABEL_COLUMNS - name.length);
}

/** The lines above the live line: what is trained, where, on what, and the plan. */
export function headerLines(start: StartRecord, columns: number, style: Style): string[] {
  const share = formatShare(start.trainableParameters / (start.parameters || 1));
  const trainable = `${formatCount(start.trainableParameters)} trainable (${share})`;
  const from = start.step === 0 ? "" : `, going on after step ${start.step}`;
  const rows: [string, string][] = [
    ["model", `${start.model}, ${formatCount(start.parameters)} parameters, ${trainable}`],
    ["memory", `about ${formatBytes(start.memoryBytes)} for training, besides the program and its data`],
    ["device", start.device],
    ["data", start.data],
    ["plan", `${start.plan}${from}`],
    ["run", start.runFolder],
  ];
  return rows.flatMap(([name, value]) =>
    wrap(value, columns - LABEL_COLUMNS).map((line, index) => `${label(index === 0 ? name : "", style.dim)}${line}`),
  );
}

/** The words in lines of at most `columns` columns; a longer word gets a line of its own. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && textWidth(line) + 1 + textWidth(word) <= columns)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Says which phase begins and what that means. */
export function phaseLine(phase: PhaseName, style: Style): string {
  const [name, meaning] = PHASES[phase];
  return `${style.cyan(name)}: ${meaning}`;
}

/** `987`, `1.2K`, `12K`: what is glanced at while it changes needs no more digits. */
function shortCount(count: number): string {
  return count < 1000 ? count.toFixed(0) : `${(count / 1000).toFixed(count < 9950 ? 1 : 0)}K`;
}

/**
 * The live line: step, loss, learning rate, gradient norm, speed, cycle, time left. It takes 79 columns up to 99,999 steps
 * and 99 cycles; where `columns` are too few, the last parts are left out.
 */
export function stepLine(
  record: StepRecord,
  { maxSteps, secondsLeft, columns }: { maxSteps: number; secondsLeft: number | undefined; columns: number },
  style: Style,
): string {
  const step = String(record.step).padStart(String(maxSteps).length);
  const parts: [name: string, value: string, unit: string][] = [
    ["", `${step}/${maxSteps}`, ""],
    ["loss ", record.loss.toFixed(4), ""],
    ["lr ", record.learningRate === 0 ? "0" : record.learningRate.toExponential(1), ""],
    ["grad ", record.gradNorm >= 100 ? record.gradNorm.toFixed(0) : record.gradNorm.toPrecision(2), ""],
    ["", shortCount(record.tokensPerSecond), " tok/s"],
  ];
  if (record.cycle > 0) parts.push(["cycle ", String(record.cycle), ""]);
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
  const change = previous === undefined ? "" : style.dim(`  (${signed(record.loss - previous.loss, 4)})`);
  const sample = cutToWidth(singleLine(record.sample), columns - LABEL_COLUMNS);
  const head = `${label("eval", style.green)}step ${record.step}  ${style.bold(numbers)}${change}`;
  return sample === "" ? [head] : [head, `${" ".repeat(LABEL_COLUMNS)}${style.dim(sample)}`];
}

/** A merge: that the loss did not move, how much was merged, and the rank that the merged updates have reached. */
export function mergeLine(record: MergeRecord, style: Style): string {
  const loss = `loss ${record.lossBefore.toFixed(4)} -> ${record.lossAfter.toFixed(4)}`;
  const layers = record.layers.length;
  const mean = layers === 0 ? "" : ` (${(record.rank / layers).toFixed(1)} a layer)`;
  const size = `|ΔW| ${formatNumber(record.deltaNorm)}`;
  return `${label("merge", style.green)}cycle ${record.cycle}  ${loss}  ${size}  rank ${record.rank}${mean}`;
}

export function resetLine(record: ResetRecord, style: Style): string {
  return `${label("reset", style.dim)}${formatShare(record.zeroedFraction)} of the adapters' optimizer state is zero`;
}

export function skipLine(record: SkipRecord, style: Style): string {
  return `${label("skip", style.yellow)}step ${record.step} changed nothing: ${singleLine(record.reason)}`;
}

const OUTCOMES: Readonly<Record<EndRecord["outcome"], string>> = { done: "done", stopped: "stop", diverged: "fail" };

/** The last line: steps, tokens, time, peak memory. */
export function endLine(record: EndRecord, style: Style): string {
  const color = record.outcome === "done" ? style.green : style.yellow;
  const work = `${record.step} steps, ${formatCount(record.tokens)} tokens in ${formatDuration(record.seconds)}`;
  return `${label(OUTCOMES[record.outcome], color)}${work}, peak memory ${formatBytes(record.peakMemoryBytes)}`;
}

function signed(value: number, digits: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(digits)}`;
}
