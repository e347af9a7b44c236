import type { Command } from "commander";
import { formatCount, formatDuration, formatNumber } from "../training/number-format.js";
import type { Context } from "./context.js";
import { elementCount, type Inspection, inspectPath, type RunInspection, type TensorList } from "./inspect-files.js";
import { addInspectSchedule } from "./inspect-schedule.js";
import { addVerb } from "./usage.js";

/** `highrank inspect PATH` and `highrank inspect schedule [CONFIG]` */
export function addInspect(program: Command, context: Context): void {
  const command = addVerb(program, "inspect", "show what a file or folder holds, or plot a learning-rate schedule")
    .argument("<PATH>", "a .safetensors file, a model folder, a PEFT adapter folder, or a run folder")
    .action(async (path: string) => {
      const inspection = await inspectPath(path);
      context.result({ path, ...inspection }, () => inspectionLines(inspection));
    });
  addInspectSchedule(command, context);
}

function inspectionLines(inspection: Inspection): string[] {
  switch (inspection.kind) {
    case "run":
      return runLines(inspection);
    case "safetensors":
      return ["safetensors file", ...pairLines(inspection.metadata), ...tensorLines(inspection)];
    case "model":
      return ["Hugging Face model", ...pairLines(inspection.config), ...tensorLines(inspection)];
    case "adapter":
      return ["PEFT adapter", ...pairLines(inspection.config), ...tensorLines(inspection)];
  }
}

function pairLines(values: Readonly<Record<string, unknown>>): string[] {
  const width = Math.max(0, ...Object.keys(values).map((key) => key.length));
  return Object.entries(values).map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return `  ${key.padEnd(width)}  ${text}`;
  });
}

function tensorLines({ tensors, parameters }: TensorList): string[] {
  const shapes = tensors.map(({ shape }) => `(${shape.join(", ")})`);
  const nameColumns = Math.max(0, ...tensors.map(({ name }) => name.length));
  const shapeColumns = Math.max(0, ...shapes.map((shape) => shape.length));
  const rows = tensors.map(({ name, dtype, shape }, index) => {
    const count = formatCount(elementCount(shape)).padStart(6);
    return `  ${name.padEnd(nameColumns)}  ${dtype.padEnd(4)}  ${shapes[index]!.padEnd(shapeColumns)}  ${count}`;
  });
  return ["", ...rows, "", `${tensors.length} tensors, ${parameters} parameters (${formatCount(parameters)})`];
}

function runLines(run: RunInspection): string[] {
  const { start, step, tokens, firstEval, lastEval, merges, end } = run;
  const lines = [`run, ${end === null ? "not finished" : end.outcome}`];
  if (start !== null) lines.push(`  model        ${start.model}, ${formatCount(start.parameters)} parameters`);
  if (start !== null) lines.push(`  data         ${start.data}`);
  lines.push(`  steps        ${step}${start === null ? "" : ` of ${start.maxSteps}`}, ${formatCount(tokens)} tokens`);
  if (firstEval !== null && lastEval !== null) {
    const perplexity = `perplexity ${formatNumber(lastEval.perplexity)}`;
    lines.push(`  held-out     loss ${firstEval.loss.toFixed(4)} -> ${lastEval.loss.toFixed(4)}, ${perplexity}`);
  }
  if (run.skippedSteps > 0) lines.push(`  skipped      ${run.skippedSteps} updates`);
  if (end !== null) lines.push(`  time         ${formatDuration(end.seconds)}`);
  lines.push(`  checkpoints  ${run.checkpoints.join(", ") || "none"}`);
  const last = merges.at(-1);
  if (last === undefined) return lines;
  lines.push(`  merges       ${merges.length}`, "", "  cycle  step  loss before -> after   |ΔW|      rank");
  for (const merge of merges) {
    const loss = `${merge.lossBefore.toFixed(4)} -> ${merge.lossAfter.toFixed(4)}`;
    const columns = [String(merge.cycle).padStart(5), String(merge.step).padStart(5), loss.padEnd(20)];
    lines.push(`  ${columns.join(" ")}   ${formatNumber(merge.deltaNorm).padEnd(8)}  ${merge.rank}`);
  }
  const nameColumns = Math.max(...last.layers.map(({ name }) => name.length), 0);
  lines.push("", "  rank of the accumulated update, by layer");
  for (const { name, rank } of last.layers) lines.push(`  ${name.padEnd(nameColumns)}  ${rank}`);
  return lines;
}
