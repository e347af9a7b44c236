import type { Command } from "commander";
import { formatBytes, formatCount, formatNumber } from "../base/numbers.js";
import { FLOAT_DTYPES } from "../formats/quant-state.js";
import type { MergedModel } from "../verbs/merge.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { addOriginOptions, readOriginOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  out: { type: "string", path: "path", unit: "folder", help: "Folder to write; it must be new or empty." },
  dtype: {
    type: "choice",
    choices: FLOAT_DTYPES,
    default: null,
    none: "that of the base; float32 where it is quantized",
    help: "Type of the weights.",
  },
  verify: {
    type: "boolean",
    default: false,
    help: "Compare the logits of base + updates with those of the written model.",
  },
} as const satisfies OptionTable;

const HELP_AFTER = `
For a run, finished or not, a checkpoint is merged: base + finished cycles +
what its adapter has learned since. For a model folder, the type of the weights
is changed, and quantized weights become floats.`;

/** `highrank merge TARGET --out DIR` */
export function addMerge(program: Command, context: Context): void {
  const command = addVerb(program, "merge", "write a run or an adapter as a plain Hugging Face folder")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  addOriginOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, OPTIONS), ...readOriginOptions(command), ...context.events };
    const { mergeTarget } = await import("../verbs/merge.js");
    const result = await mergeTarget(target, options);
    context.result(result, () => resultLines(result));
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
      lines.push("          The weights compared are exact float32 (base + sum of updates);");
      lines.push(`          during training the base is ${quantizer}.`);
    }
  }
  return [...lines, `wrote     ${modelFolder}`];
}
