import type { Command } from "commander";
import { formatBytes, formatCount } from "../base/numbers.js";
import { FLOAT_DTYPES } from "../formats/quant-state.js";
import type { ExportedModel } from "../verbs/export.js";
import { EXPORT_FORMATS } from "../verbs/export-formats.js";
import type { ExportedOnnx } from "../verbs/export-onnx.js";
import type { ExportedAdapter } from "../verbs/export-peft.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { addOriginOptions, readOriginOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  to: { type: "choice", choices: EXPORT_FORMATS, help: "peft: one adapter; hf: the merged model; onnx: a decoder." },
  out: { type: "string", path: "path", unit: "folder", help: "Folder to write; it must be new or empty." },
  dtype: {
    type: "choice",
    choices: FLOAT_DTYPES,
    default: null,
    none: "hf: that of the base, or float32 where it is quantized; onnx: float32",
    help: "Type of the weights.",
  },
} as const satisfies OptionTable;

const HELP_AFTER = `
For a run, finished or not, a checkpoint is exported. peft joins all cycles of
a ReLoRA run into one adapter for RUN/base, of rank cycles × r. onnx writes
onnx/model.onnx with a key-value cache, in the layout that transformers.js
loads.`;

/** `highrank export TARGET --to peft|hf|onnx --out DIR` */
export function addExport(program: Command, context: Context): void {
  const command = addVerb(program, "export", "write a model for PEFT, transformers or transformers.js")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  addOriginOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, OPTIONS), ...readOriginOptions(command), ...context.events };
    const { exportTarget } = await import("../verbs/export.js");
    const exported = await exportTarget(target, options);
    context.result(exported, () => [...exportedLines(exported), `wrote     ${exported.folder}`]);
  });
}

function exportedLines(exported: ExportedAdapter | ExportedModel | ExportedOnnx): string[] {
  switch (exported.format) {
    case "peft":
      return adapterLines(exported);
    case "hf":
      return modelLines(exported);
    case "onnx":
      return onnxLines(exported);
  }
}

function adapterLines({ rank, layers, modulesToSave, baseModel, quantizer }: ExportedAdapter): string[] {
  const lines = [`adapter   rank ${rank}, ${layers} layers`];
  if (modulesToSave.length > 0) lines.push(`trained   ${modulesToSave.length} parameters in full, in modules_to_save`);
  lines.push(`base      ${baseModel ?? "not named; give it when the adapter is loaded"}`);
  if (quantizer !== null) lines.push(`          held in ${quantizer} during training`);
  return lines;
}

function modelLines({ parameters, dtype, fileBytes, files, quantizer }: ExportedModel): string[] {
  const shards = files === 1 ? "" : ` in ${files} files`;
  return [
    `merged    ${formatCount(parameters)} parameters in ${dtype}, ${formatBytes(fileBytes)}${shards}`,
    ...dequantizedLines(quantizer),
  ];
}

function onnxLines(exported: ExportedOnnx): string[] {
  const { parameters, dtype, fileBytes, model, dataFiles, hasTokenizer, quantizer } = exported;
  const beside = dataFiles === 0 ? "" : `, weights in ${dataFiles} ${dataFiles === 1 ? "file" : "files"} beside it`;
  return [
    `exported  ${formatCount(parameters)} parameters in ${dtype}, ${formatBytes(fileBytes)}`,
    `model     ${model}${beside}`,
    ...(hasTokenizer ? [] : ["tokenizer none: the base has no tokenizer.json, which transformers.js needs for text"]),
    ...dequantizedLines(quantizer),
  ];
}

function dequantizedLines(quantizer: string | null): string[] {
  return quantizer === null ? [] : [`weights   floats; during training the base is ${quantizer}`];
}
