import type { Command } from "commander";
import { formatBytes, formatCount, formatNumber } from "../base/numbers.js";
import type { MergedModel } from "../verbs/merge.js";
import { MERGE_OPTIONS } from "../verbs/options.js";
import type { Context } from "./context.js";
import { withoutLeftovers } from "./interrupts.js";
import { generateWords, nextLines, promptFor } from "./next-command.js";
import { addOptions, readOptions } from "./options.js";
import { addOriginOptions, readOriginOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
For a run, finished or not, a checkpoint is merged: base + finished cycles +
what its adapter has learned since. For a model folder, the type of the weights
is changed, and quantized weights become floats.`;

/** `highrank merge TARGET --out DIR` */
export function addMerge(program: Command, context: Context): void {
  const command = addVerb(program, "merge", "write a run or an adapter as a plain Hugging Face folder")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, MERGE_OPTIONS);
  addOriginOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, MERGE_OPTIONS), ...readOriginOptions(command), ...context.events };
    const { mergeTarget } = await import("../verbs/merge.js");
    const result = await withoutLeftovers(() => mergeTarget(target, options));
    const prompt = await promptFor(target, result.modelFolder);
    context.result(result, () => [
      ...resultLines(result),
      ...nextLines(context.name, generateWords(result.modelFolder, prompt)),
    ]);
  });
}

function resultLines(merged: MergedModel): string[] {
  const { modelFolder, dtype, parameters, fileBytes, files, quantizer, verification } = merged;
  const shards = files === 1 ? "" : ` in ${files} files`;
  const lines = [`merged    ${formatCount(parameters)} parameters in ${dtype}, ${formatBytes(fileBytes)}${shards}`];
  if (verification !== null) {
    const { tokens, largestChange, relativeChange } = verification;
    lines.push(`verified  logits of ${tokens} random tokens against those of base + updates:`);
    const relative = `relative to the largest logit ${formatNumber(relativeChange)}`;
    lines.push(`          largest change ${formatNumber(largestChange)}, ${relative}`);
    if (quantizer !== null) {
      lines.push("          The weights compared are exact, in float32;");
      lines.push(`          during training the base is ${quantizer}.`);
    }
  }
  return [...lines, `wrote     ${modelFolder}`];
}
