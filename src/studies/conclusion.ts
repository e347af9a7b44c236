import { formatCount, largest } from "../base/numbers.js";
import type { Difference } from "./statistics.js";
import { type ArmSummary, MERGE_TOLERANCE, type RunSummary, type StudySummary } from "./summary.js";

/** Sentences that say as much as the numbers show, and no more. */
export interface Conclusion {
  readonly findings: readonly string[];
  /** Numbers that the findings rest on. */
  readonly grounds: readonly string[];
}

export function conclusion(summary: StudySummary): Conclusion {
  const { reference, arms, runs } = summary;
  const others = arms.filter(({ name }) => name !== reference.low && name !== reference.high);
  const unfinished =
    runs.ended < runs.planned
      ? [`Only ${runs.ended} of ${runs.planned} runs have ended; what follows is of these.`]
      : [];
  return {
    findings: [
      extent(summary),
      ...unfinished,
      ...arms.filter(({ diverged }) => diverged > 0).map(divergence),
      ...gapSentence(summary),
      ...others.flatMap((arm) => comparison(arm, summary)),
    ],
    grounds: [...certainty(others, summary), ...mergeSentences(arms), ...warmStartSentences(summary)],
  };
}

function extent({ arms, seeds }: StudySummary): string {
  const stepsOf = ({ phase, step, maxSteps }: RunSummary): number => (phase === "done" ? step : maxSteps);
  const steps = new Set(arms.flatMap(({ runs }) => runs.map(stepsOf)));
  const done = arms.flatMap(({ runs }) => runs.filter(({ phase }) => phase === "done"));
  // What is held out, and so what is trained on, differs between seeds; an arm differs from another with the same seed.
  const differ = seeds.some(
    (seed) => new Set(done.flatMap((run) => (run.seed === seed ? formatCount(run.tokens) : []))).size > 1,
  );
  const tokens = done.map((run) => run.tokens).sort((a, b) => a - b);
  const [least, most] = [tokens[0] ?? 0, tokens.at(-1) ?? 0].map(formatCount);
  const tokensText = tokens.length === 0 ? "" : `, ${least === most ? least : `${least} to ${most}`} tokens`;
  const length =
    steps.size > 1 || differ ? "; the arms differ in length" : ` of ${count([...steps][0]!, "step")}${tokensText} each`;
  const runs = count(arms.length * seeds.length, "run");
  return `${count(arms.length, "arm")} with ${count(seeds.length, "seed")}: ${runs}${length}.`;
}

function divergence({ name, runs }: ArmSummary): string {
  const diverged = runs.filter(({ phase }) => phase === "diverged");
  const steps = [...new Set(diverged.map(({ step }) => step))].sort((a, b) => a - b);
  const seeds =
    diverged.length === runs.length
      ? "every seed"
      : `${diverged.length === 1 ? "seed" : "seeds"} ${diverged.map(({ seed }) => seed).join(", ")}`;
  return `${name} diverged with ${seeds}, at ${steps.length === 1 ? "step" : "steps"} ${steps.join(", ")}.`;
}

function gapSentence({ gap, reference: { low, high } }: StudySummary): string[] {
  if (high === null) return [];
  if (gap === null) return [`There is no gap to measure yet: no seed is done with both ${low} and ${high}.`];
  const text = `The held-out loss of ${differenceText(low, gap, high)}.`;
  if (gap.mean <= 0) return [text, "So there is no gap to close."];
  if (gap.clear === false) return [text, "Such a gap may be chance, and shares of it mean little."];
  return [text];
}

function comparison(arm: ArmSummary, { reference: { low } }: StudySummary): string[] {
  const { name, overLow, gapClosed } = arm;
  if (overLow === null) return [];
  const share = gapClosed?.mean ?? null;
  const closes =
    share === null
      ? ""
      : share < 0
        ? `; it widens the gap by ${percent(-share)}`
        : `; it closes ${percent(share)} of the gap`;
  return [`That of ${differenceText(name, overLow, low)}${closes}.`];
}

/** "relora is above lora by 0.012 ± 0.004 (with 3 of 3 seeds), clearly" */
function differenceText(
  name: string,
  { n, mean, standardError, above, below, clear }: Difference,
  other: string,
): string {
  if (mean === 0) return `${name} equals that of ${other}`;
  const error = standardError === null ? "" : ` ± ${standardError.toFixed(4)}`;
  const size = `${Math.abs(mean).toFixed(4)}${error}`;
  const seeds = n === 1 ? "" : ` (with ${mean > 0 ? above : below} of ${n} seeds)`;
  const verdict = clear === null ? "" : clear ? ", clearly" : ", which may be chance";
  return `${name} is ${mean > 0 ? "above" : "below"} that of ${other} by ${size}${seeds}${verdict}`;
}

function certainty(others: readonly ArmSummary[], { gap, seeds }: StudySummary): string[] {
  if (gap === null && others.every(({ overLow }) => overLow === null)) return [];
  const most = largest(
    others.map(({ overLow }) => overLow?.n ?? 0),
    gap?.n ?? 0,
  );
  if (most < 2) return ["One seed cannot tell a difference from chance."];
  const meaning =
    "Means are over paired seeds with their standard error; clear is what lies outside 95% of Student's t distribution";
  const many =
    others.length > 3
      ? `, each of ${others.length + 1} comparisons by itself, so that one or another may be chance`
      : "";
  const few = seeds.length < 5 ? ` With ${count(seeds.length, "seed")} the standard error itself is rough.` : "";
  return [`${meaning}${many}.${few}`];
}

function mergeSentences(arms: readonly ArmSummary[]): string[] {
  const float = arms.filter(({ mergesKept }) => mergesKept !== null);
  if (float.length === 0) return [];
  const broken = float.filter(({ mergesKept }) => mergesKept === false);
  const most = largest(float.map(({ mergeChange }) => mergeChange!));
  if (broken.length === 0) {
    return [`Merging into float32 weights changed the held-out loss by ${most.toExponential(1)} at most.`];
  }
  const names = broken.map(({ name, mergeChange }) => `${name} (${mergeChange!.toExponential(1)})`).join(", ");
  return [
    `Merging into float32 weights changed the held-out loss by more than ${MERGE_TOLERANCE} in ${names}. ` +
      "That must not happen, so do not trust their results.",
  ];
}

function warmStartSentences({ warmStarts, differentData }: StudySummary): string[] {
  const sentences: string[] = [];
  const seeds = [...new Set(warmStarts.map(({ seed }) => seed))];
  const split = seeds.filter((seed) => warmStarts.filter((group) => group.seed === seed).length > 1);
  if (seeds.length > 0 && split.length === 0) {
    sentences.push("With each seed, all arms that have a warm start left it with the same weights to the bit.");
  }
  for (const seed of split) {
    const groups = warmStarts.filter((group) => group.seed === seed);
    const texts = groups.map(({ step, loss, arms }) => `${arms.join(", ")} (step ${step}, loss ${loss.toFixed(4)})`);
    sentences.push(`With seed ${seed} the warm starts ended in different weights: ${texts.join("; ")}.`);
  }
  if (differentData.length > 0) {
    sentences.push(
      `With ${differentData.length === 1 ? "seed" : "seeds"} ${differentData.join(", ")}, not all arms were trained ` +
        "on the same tokens, so their losses cannot be compared.",
    );
  }
  return sentences;
}

/** A share in whole per cent, with its sign where it is negative. */
export function percent(share: number): string {
  return `${Math.round(100 * share)}%`.replace("-0%", "0%");
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
