import type { Command } from "commander";
import { formatNumber } from "../base/numbers.js";
import type { TargetEvaluation } from "../verbs/evaluate.js";
import { EVALUATION_OPTIONS } from "../verbs/options.js";
import type { Context } from "./context.js";
import { addOptions, readOptions } from "./options.js";
import { addTargetOptions, readTargetOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

/** `highrank eval TARGET --data F` */
export function addEval(program: Command, context: Context): void {
  const command = addVerb(program, "eval", "mean loss per token and perplexity on a text or on samples").argument(
    "<TARGET>",
    TARGET_HELP,
  );
  addOptions(command, EVALUATION_OPTIONS);
  addTargetOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, EVALUATION_OPTIONS), ...readTargetOptions(command) };
    const { evaluateTarget } = await import("../verbs/evaluate.js");
    const evaluation = await evaluateTarget(target, { ...options, ...context.events });
    context.result(evaluation, () => [
      `loss        ${evaluation.loss.toFixed(4)} nats a token`,
      `perplexity  ${formatNumber(evaluation.perplexity)}`,
      `tokens      ${evaluation.tokens}${rowWords(evaluation)}`,
      ...cutLines(evaluation.truncation),
      ...(evaluation.weights === null ? [] : [`weights     ${WEIGHTS[evaluation.weights]}`]),
    ]);
  });
}

const WEIGHTS: Readonly<Record<"trained" | "exact", string>> = {
  trained: "trained, as the steps saw them",
  exact: "exact, of the finished model",
};

/** Says how long the rows of a text are, on which the loss depends, and those that a run trained on if they differ. */
function rowWords({ rowLength, trainedLength }: Pick<TargetEvaluation, "rowLength" | "trainedLength">): string {
  if (rowLength === null) return "";
  const differs = trainedLength !== null && trainedLength !== rowLength;
  const run = differs ? `; the run trained on rows of ${trainedLength}: --sequence-length ${trainedLength}` : "";
  return `, in rows of ${rowLength}${run}`;
}

/** Says what the figures leave out, if anything. */
function cutLines({ samples, tokens }: { samples: number; tokens: number }): string[] {
  return samples === 0 ? [] : [`cut         ${samples} samples, leaving out ${tokens} tokens`];
}
