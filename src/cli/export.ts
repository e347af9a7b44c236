import type { Command } from "commander";
import { formatBytes, formatCount, formatShare } from "../base/numbers.js";
import type { ExportedModel } from "../verbs/export.js";
import type { ExportedGguf } from "../verbs/export-gguf.js";
import type { ExportedGgufAdapter } from "../verbs/export-gguf-adapter.js";
import type { ExportedOnnx, OnnxModelFile } from "../verbs/export-onnx.js";
import type { ExportedAdapter } from "../verbs/export-peft.js";
import { EXPORT_OPTIONS } from "../verbs/options.js";
import type { Context } from "./context.js";
import { withoutLeftovers } from "./interrupts.js";
import { generateWords, nextLines, promptFor } from "./next-command.js";
import { addOptions, readOptions } from "./options.js";
import { addOriginOptions, readOriginOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
For a run, finished or not, a checkpoint is exported. peft joins all cycles of
a ReLoRA run into one adapter for RUN/base, of rank cycles × r. onnx writes
onnx/model.onnx with a key-value cache, in the layout that transformers.js
loads. gguf writes one file for llama.cpp and what is built on it: the merged
model, or with --adapter-only the adapter.`;

/** `highrank export TARGET --to peft|hf|onnx|gguf --out DIR` */
export function addExport(program: Command, context: Context): void {
  const command = addVerb(program, "export", "write a model for PEFT, transformers, transformers.js or llama.cpp")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, EXPORT_OPTIONS);
  addOriginOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, EXPORT_OPTIONS), ...readOriginOptions(command), ...context.events };
    const { exportTarget } = await import("../verbs/export.js");
    const exported = await withoutLeftovers(() => exportTarget(target, options));
    const written = "file" in exported ? exported.file : exported.folder;
    const isRead = exported.format === "hf" || exported.format === "gguf" || isWithBase(exported);
    const next = isRead ? generateWords(written, await promptFor(target, written)) : ["inspect", written];
    context.result(exported, () => [
      ...exportedLines(exported),
      `wrote     ${written}`,
      ...nextLines(context.name, next),
    ]);
  });
}

type Exported = ExportedAdapter | ExportedModel | ExportedOnnx | ExportedGguf | ExportedGgufAdapter;

/** True for an adapter that names its base, so that it can be loaded as it is. */
function isWithBase(exported: Exported): boolean {
  return exported.format === "peft" && exported.baseModel !== null;
}

function exportedLines(exported: Exported): string[] {
  switch (exported.format) {
    case "peft":
      return adapterLines(exported);
    case "hf":
      return modelLines(exported);
    case "onnx":
      return onnxLines(exported);
    case "gguf":
      return ggufLines(exported);
    case "gguf-adapter":
      return ggufAdapterLines(exported);
  }
}

function adapterLines({ rank, layers, modulesToSave, ...base }: ExportedAdapter): string[] {
  const lines = [`adapter   rank ${rank}, ${layers} layers`];
  if (modulesToSave.length > 0) lines.push(`trained   ${modulesToSave.length} parameters in full, in modules_to_save`);
  return [...lines, ...baseLines(base)];
}

function ggufAdapterLines({ rank, layers, type, fileBytes, ...base }: ExportedGgufAdapter): string[] {
  return [`adapter   rank ${rank}, ${layers} layers in ${type}, ${formatBytes(fileBytes)}`, ...baseLines(base)];
}

function baseLines({ baseModel, quantizer }: Pick<ExportedAdapter, "baseModel" | "quantizer">): string[] {
  const lines = [`base      ${baseModel ?? "not named; give it when the adapter is loaded"}`];
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

function onnxLines({ models, parameters, float32, hasTokenizer, quantizer }: ExportedOnnx): string[] {
  const dtypes = models.map(({ dtype }) => dtype).join(", ");
  const bytes = models.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  return [
    `exported  ${formatCount(parameters)} parameters in ${dtypes}, ${formatBytes(bytes)}`,
    ...models.map((model) => `model     ${onnxModelLine(model, models.length > 1, float32)}`),
    ...lossLines(float32),
    ...(hasTokenizer ? [] : ["tokenizer none: the base has no tokenizer.json, which transformers.js needs for text"]),
    ...dequantizedLines(quantizer),
  ];
}

function onnxModelLine(
  { model, fileBytes, dataFiles, loss }: OnnxModelFile,
  isOneOfSeveral: boolean,
  float32: ExportedOnnx["float32"],
): string {
  const size = isOneOfSeveral ? `, ${formatBytes(fileBytes)}` : "";
  const beside = dataFiles === 0 ? "" : `, weights in ${dataFiles} ${dataFiles === 1 ? "file" : "files"} beside it`;
  if (loss === null || float32 === null || typeof float32 === "string") return `${model}${size}${beside}`;
  const change = loss / float32.loss - 1;
  const share = `${change < 0 ? "-" : "+"}${formatShare(Math.abs(change))}`;
  return `${model}${size}${beside}, loss ${loss.toFixed(4)} (${share})`;
}

function lossLines(float32: ExportedOnnx["float32"]): string[] {
  if (float32 === null) return [];
  if (typeof float32 === "string") return [`loss      not computed: ${float32}`];
  return [`loss      ${float32.loss.toFixed(4)} in float32, of ${float32.tokens} tokens ${float32.data}`];
}

function ggufLines({ parameters, type, fileBytes, relativeErrors, quantizer }: ExportedGguf): string[] {
  const lost = Object.entries(relativeErrors).map(([name, error]) => `${name} ${formatShare(error)}`);
  return [
    `exported  ${formatCount(parameters)} parameters in ${type}, ${formatBytes(fileBytes)}`,
    ...(lost.length === 0 ? [] : [`rounding  ${lost.join(", ")}`]),
    ...dequantizedLines(quantizer),
  ];
}

function dequantizedLines(quantizer: string | null): string[] {
  return quantizer === null ? [] : [`weights   floats; during training the base is ${quantizer}`];
}
