import type { Command } from "commander";
import { isObject, shownValue } from "../base/json.js";
import { append } from "../base/lists.js";
import { formatBytes, formatCount, formatDuration, formatLoss, formatNumber, formatShare } from "../base/numbers.js";
import { modelFolder } from "../hub/locate-model.js";
import { RELATIVE_THRESHOLD } from "../relora/merge-report.js";
import { policyOf } from "../runs/report/merges.js";
import type { Context } from "./context.js";
import {
  elementCount,
  type GgufInspection,
  type Inspection,
  inspectPath,
  type OnnxInspection,
  type QuantizedInfo,
  type RunInspection,
  type TensorList,
} from "./inspect-files.js";
import { addInspectSchedule } from "./inspect-schedule.js";
import { longest, tableLines } from "./table.js";
import { addVerb } from "./usage.js";

/** Longer texts in metadata, such as chat templates, are shown by their beginning. */
const MAX_SHOWN_TEXT = 100;

/** `highrank inspect PATH` and `highrank inspect schedule [CONFIG]` */
export function addInspect(program: Command, context: Context): void {
  const command = addVerb(program, "inspect", "show what a file or folder holds, or plot a learning-rate schedule")
    .argument(
      "<PATH>",
      "a .safetensors, .gguf or .onnx file, a folder of a model, an adapter or a run, or a name of the hub",
    )
    .action(async (path: string) => {
      const inspection = await inspectPath(await modelFolder(path, context.events));
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
    case "gguf":
      return ggufLines(inspection);
    case "onnx":
      return onnxLines(inspection);
    case "adapter": {
      const { format: _, ...metadata } = inspection.metadata;
      return ["PEFT adapter", ...pairLines({ ...inspection.config, ...metadata }), ...tensorLines(inspection)];
    }
  }
}

function onnxLines(onnx: OnnxInspection): string[] {
  const { config, model, otherModels, producer, irVersion, opsets, operators, dataFiles } = onnx;
  const kinds = Object.entries(operators).map(([operator, count]) => `${operator} ${count}`);
  const versions = Object.entries(opsets).map(([domain, version]) => `${domain || "onnx"} ${version}`);
  const rows = [
    ...onnx.inputs.map((input) => ["input", input] as const),
    ...onnx.outputs.map((output) => ["output", output] as const),
    ...onnx.initializers.map((initializer) => ["holds", initializer] as const),
  ].map(([role, { name, dtype, shape }]) => [role, name, dtype, `(${shape.join(", ")})`]);
  const about = {
    model,
    ...(otherModels.length > 0 && { "other models": otherModels.join(", ") }),
    ...(producer !== "" && { "written by": producer }),
    "file format": `${irVersion}`,
    "operator sets": versions.join(", "),
    ...(dataFiles.length > 0 && { "weights in": dataFiles.join(", ") }),
    operators: kinds.join(", "),
  };
  return [
    config === null ? "ONNX model" : "ONNX model folder",
    ...pairLines({ ...config, ...about }),
    "",
    ...tableLines("llll", ["", "tensor", "type", "shape"], rows).map((line) => `  ${line}`),
    "",
    `${onnx.initializers.length} tensors, ${onnx.parameters} numbers (${formatCount(onnx.parameters)})`,
  ];
}

function ggufLines({ version, metadata, tensors, types, parameters, files, fileBytes }: GgufInspection): string[] {
  const shown = Object.entries(metadata).map(([key, value]) => [
    key,
    typeof value === "string" && (value.length > MAX_SHOWN_TEXT || value.includes("\n")) ? shownValue(value) : value,
  ]);
  const rows = types.map(({ type, tensors: count, parameters: numbers, bytes }) => [
    type,
    `${count}`,
    formatCount(numbers),
    formatBytes(bytes),
    formatNumber((8 * bytes) / numbers),
  ]);
  const count = `${parameters} parameters (${formatCount(parameters)})`;
  const all = `${tensors.length} tensors, ${count}, ${formatBytes(fileBytes)}`;
  return [
    `GGUF file, version ${version}`,
    ...pairLines(Object.fromEntries(shown)),
    "",
    ...tensorRows(tensors),
    "",
    ...tableLines("lrrrr", ["type", "tensors", "parameters", "bytes", "bits each"], rows).map((line) => `  ${line}`),
    "",
    files.length === 1 ? all : `${all} in ${files.length} files`,
  ];
}

function pairLines(values: Readonly<Record<string, unknown>>, indent = "  "): string[] {
  const width = longest(Object.keys(values));
  return Object.entries(values).flatMap(([key, value]) => {
    if (isObject(value) && Object.keys(value).length > 0) {
      return [`${indent}${key}`, ...pairLines(value, `${indent}  `)];
    }
    return [`${indent}${key.padEnd(width)}  ${typeof value === "string" ? value : JSON.stringify(value)}`];
  });
}

function tensorRows(tensors: TensorList["tensors"]): string[] {
  const shapes = tensors.map(({ shape }) => shapeText(shape));
  const nameColumns = longest(tensors.map(({ name }) => name));
  const shapeColumns = longest(shapes);
  return tensors.map(({ name, dtype, shape }, index) => {
    const count = formatCount(elementCount(shape)).padStart(6);
    return `  ${name.padEnd(nameColumns)}  ${dtype.padEnd(4)}  ${shapes[index]!.padEnd(shapeColumns)}  ${count}`;
  });
}

function tensorLines({ tensors, quantized, parameters }: TensorList): string[] {
  const rows = tensorRows(tensors);
  const total = `${parameters} parameters (${formatCount(parameters)})`;
  if (quantized.length === 0) return ["", ...rows, "", `${tensors.length} tensors, ${total}`];
  const counts = `${tensors.length} tensors and ${quantized.length} quantized weights, ${total}`;
  return ["", ...rows, "", ...quantizedLines(quantized), "", counts];
}

function quantizedLines(quantized: readonly QuantizedInfo[]): string[] {
  const rows = quantized.map(({ name, format, blockSize, doubleQuant, shape, bitsPerWeight }) => [
    name,
    doubleQuant ? `${format} double` : format,
    String(blockSize ?? "row"),
    shapeText(shape),
    bitsPerWeight.toFixed(2),
  ]);
  return tableLines("llrlr", ["quantized", "format", "block", "shape", "bits"], rows).map((line) => `  ${line}`);
}

function shapeText(shape: readonly number[]): string {
  return `(${shape.join(", ")})`;
}

function runLines(run: RunInspection): string[] {
  const { start, step, tokens, firstEval, lastEval, merges, end } = run;
  const lines = [`run, ${end === null ? "not finished" : end.outcome}`];
  if (start !== null) lines.push(`  model        ${start.model}, ${formatCount(start.parameters)} parameters`);
  if (start !== null) lines.push(`  data         ${start.data}`);
  if (start !== null && start.quantizer !== null) {
    const policy = run.settings.mergePolicy;
    const merging = typeof policy === "string" ? `, merge policy ${policy}` : "";
    lines.push(`  frozen       ${start.quantizer}${merging}`);
  }
  lines.push(`  steps        ${step}${start === null ? "" : ` of ${start.maxSteps}`}, ${formatCount(tokens)} tokens`);
  if (firstEval !== null && lastEval !== null) {
    const perplexity = `perplexity ${formatNumber(lastEval.perplexity)}`;
    lines.push(`  held-out     loss ${firstEval.loss.toFixed(4)} -> ${lastEval.loss.toFixed(4)}, ${perplexity}`);
  }
  if (end !== null && end.modelStep !== null && end.modelStep !== step) {
    lines.push(`  model        of step ${end.modelStep}, with the lowest held-out loss of those that were saved`);
  }
  if (end?.losses !== undefined) {
    const [trained, exact] = [end.losses.trained, end.losses.exact].map((loss) => loss?.toFixed(4) ?? "unknown");
    lines.push(`  model        loss ${trained} with the trained weights, ${exact} with the exact ones`);
  }
  if (run.skippedSteps > 0) lines.push(`  skipped      ${run.skippedSteps} updates`);
  if (end !== null) lines.push(`  time         ${formatDuration(end.seconds)}`);
  lines.push(`  checkpoints  ${run.checkpoints.join(", ") || "none"}`);
  const last = merges.at(-1);
  if (last === undefined) return lines;
  lines.push(`  merges       ${merges.length}`, "");
  const isQuantized = policyOf(merges) !== null;
  const rows = merges.map(({ cycle, step, lossBefore, lossAfter, deltaNorm, rank, recovered }) => [
    String(cycle),
    String(step),
    `${formatLoss(lossBefore)} -> ${formatLoss(lossAfter)}`,
    formatNumber(deltaNorm),
    String(rank),
    ...(isQuantized ? [formatShare(recovered)] : []),
  ]);
  const header = ["cycle", "step", "loss before -> after", "|ΔW|", "rank", ...(isQuantized ? ["recovered"] : [])];
  append(
    lines,
    tableLines("rrlrrr", header, rows).map((line) => `  ${line}`),
  );
  const counted = `singular values above ${formatShare(RELATIVE_THRESHOLD)} of the layer's largest`;
  lines.push("", `  rank of the accumulated update (${counted}), by layer`);
  const ranks = last.layers.map(({ name, rank }) => [name, String(rank ?? "not computed")]);
  const nameColumns = longest(ranks.map(([name]) => name!));
  for (const [name, rank] of ranks) lines.push(`  ${name!.padEnd(nameColumns)}  ${rank}`);
  return lines;
}
