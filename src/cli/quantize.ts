import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import { formatBytes, formatNumber } from "../base/numbers.js";
import { createQuantizer, QUANTIZATION_FORMATS, type Quantizer } from "../quant/quantizer.js";
import type { ModelQuantization } from "../verbs/quantize.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, type OptionValues, readOptions } from "./options.js";
import { tableLines } from "./table.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  to: { type: "choice", choices: QUANTIZATION_FORMATS, help: "Format of the weights, bitsandbytes' own." },
  doubleQuant: {
    type: "boolean",
    default: false,
    help: "Quantize the scales of nf4 and fp4 too: 4.13 instead of 4.5 bits per weight.",
  },
  blockSize: {
    type: "integer",
    default: 64,
    min: 16,
    max: 4096,
    unit: "weights",
    help: "Weights that share a scale in nf4 and fp4: a power of two.",
  },
  out: { type: "string", path: "path", unit: "folder", help: "Folder to write; it must be new or empty." },
} as const satisfies OptionTable;

const HELP_AFTER = `
The linear layers of the blocks are quantized; embeddings, norms and the output
layer keep their bytes. transformers loads the folder with bitsandbytes, and
train --model takes it as a frozen base.`;

/** `highrank quantize MODEL --to FORMAT --out DIR` */
export function addQuantize(program: Command, context: Context): void {
  const command = addVerb(program, "quantize", "quantize a model folder to 4 or 8 bits per weight")
    .argument("<MODEL>", "a Hugging Face model: a folder or a name of the hub")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  command.action(async (model: string) => {
    const options = readOptions(command, OPTIONS);
    const quantizer = quantizerOf(options, { blockSizeGiven: command.getOptionValue("blockSize") !== undefined });
    const { quantizeModel } = await import("../verbs/quantize.js");
    const result = await quantizeModel(model, { out: options.out, quantizer, ...context.events });
    context.result(result, () => resultLines(result));
  });
}

function quantizerOf(
  { to: format, doubleQuant, blockSize }: OptionValues<typeof OPTIONS>,
  { blockSizeGiven }: { blockSizeGiven: boolean },
): Quantizer {
  const faults: string[] = [];
  if (format === "int8") {
    if (doubleQuant) faults.push("--double-quant is for nf4 and fp4, whose scales it quantizes, not for int8");
    if (blockSizeGiven) faults.push("--block-size is for nf4 and fp4; int8 has a scale for each row");
  }
  if (!Number.isInteger(Math.log2(blockSize))) {
    faults.push(`--block-size: must be a power of two from 16 to 4096, got ${blockSize}`);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return createQuantizer(format, { doubleQuant, blockSize });
}

function resultLines(result: ModelQuantization): string[] {
  const { modelFolder, quantizer, relativeError, layers, layerBytes, fileBytes } = result;
  const row = (name: string, relative: number, largest: number): string[] => [
    name,
    `${(100 * relative).toFixed(2)}%`,
    formatNumber(largest),
  ];
  const rows = layers.map((layer) => row(layer.name, layer.relativeError, layer.largestError));
  const largest = Math.max(...layers.map(({ largestError }) => largestError));
  const change = ({ before, after }: { before: number; after: number }): string =>
    `${formatBytes(before)} -> ${formatBytes(after)}`;
  return [
    ...tableLines(
      "lrr",
      ["layer", "relative error", "largest error"],
      [...rows, row("all layers", relativeError, largest)],
    ),
    "",
    `quantized  ${layers.length} layers to ${quantizer}`,
    `layers     ${change(layerBytes)}`,
    `files      ${change(fileBytes)}`,
    `wrote      ${modelFolder}`,
  ];
}
