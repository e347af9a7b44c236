import type { Command } from "commander";
import { formatNumber } from "../base/numbers.js";
import { SETTINGS } from "../config/settings.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { addTargetOptions, readTargetOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  data: { type: "string", path: "name or path", help: SETTINGS.data.help },
  sequenceLength: {
    type: "integer",
    default: null,
    none: "that of the run, or what the model allows",
    min: 2,
    unit: "tokens",
    help: SETTINGS.sequenceLength.help,
  },
  batchSize: SETTINGS.batchSize,
  trainOnInputs: SETTINGS.trainOnInputs,
  chatDate: { ...SETTINGS.chatDate, isRare: true },
  chatTemplate: { ...SETTINGS.chatTemplate, isRare: true },
  maxTokens: {
    type: "integer",
    default: null,
    none: "all",
    min: 1,
    unit: "tokens",
    help: "Score at most this many tokens.",
  },
} as const satisfies OptionTable;

/** `highrank eval TARGET --data F` */
export function addEval(program: Command, context: Context): void {
  const command = addVerb(program, "eval", "mean loss per token and perplexity on a text or on samples").argument(
    "<TARGET>",
    TARGET_HELP,
  );
  addOptions(command, OPTIONS);
  addTargetOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, OPTIONS), ...readTargetOptions(command) };
    const { evaluateTarget } = await import("../verbs/evaluate.js");
    const evaluation = await evaluateTarget(target, { ...options, ...context.events });
    context.result(evaluation, () => [
      `loss        ${evaluation.loss.toFixed(4)} nats a token`,
      `perplexity  ${formatNumber(evaluation.perplexity)}`,
      `tokens      ${evaluation.tokens}`,
      ...cutLines(evaluation.truncation),
      ...(evaluation.weights === null ? [] : [`weights     ${WEIGHTS[evaluation.weights]}`]),
    ]);
  });
}

const WEIGHTS: Readonly<Record<"trained" | "exact", string>> = {
  trained: "trained, as the steps saw them",
  exact: "exact, of the finished model",
};

/** Says what the figures leave out, if anything. */
function cutLines({ samples, tokens }: { samples: number; tokens: number }): string[] {
  return samples === 0 ? [] : [`cut         ${samples} samples, leaving out ${tokens} tokens`];
}
