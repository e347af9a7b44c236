import type { Command } from "commander";
import { formatBytes, formatNumber, largest } from "../base/numbers.js";
import { QUANTIZATION_OPTIONS, quantizerOf } from "../verbs/options.js";
import type { ModelQuantization } from "../verbs/quantize.js";
import type { Context } from "./context.js";
import { withoutLeftovers } from "./interrupts.js";
import { generateWords, nextLines, promptFor } from "./next-command.js";
import { addOptions, readOptions } from "./options.js";
import { tableLines } from "./table.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
The linear layers of the blocks are quantized; embeddings, norms and the output
layer keep their bytes. transformers loads the folder with bitsandbytes, and
train --model takes it as a frozen base.`;

/** `highrank quantize MODEL --to FORMAT --out DIR` */
export function addQuantize(program: Command, context: Context): void {
  const command = addVerb(program, "quantize", "quantize a model folder to 4 or 8 bits per weight")
    .argument("<MODEL>", "a Hugging Face model: a folder or a name of the hub")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, QUANTIZATION_OPTIONS);
  command.action(async (model: string) => {
    const options = readOptions(command, QUANTIZATION_OPTIONS);
    const quantizer = quantizerOf(options, command.opts());
    const { quantizeModel } = await import("../verbs/quantize.js");
    const result = await withoutLeftovers(() =>
      quantizeModel(model, { out: options.out, quantizer, ...context.events }),
    );
    const prompt = await promptFor(model, result.modelFolder);
    context.result(result, () => [
      ...resultLines(result),
      ...nextLines(context.name, generateWords(result.modelFolder, prompt)),
    ]);
  });
}

function resultLines(result: ModelQuantization): string[] {
  const { modelFolder, quantizer, relativeError, layers, layerBytes, fileBytes } = result;
  const row = (name: string, relative: number, most: number): string[] => [
    name,
    `${(100 * relative).toFixed(2)}%`,
    formatNumber(most),
  ];
  const rows = layers.map((layer) => row(layer.name, layer.relativeError, layer.largestError));
  const most = largest(layers.map(({ largestError }) => largestError));
  const change = ({ before, after }: { before: number; after: number }): string =>
    `${formatBytes(before)} -> ${formatBytes(after)}`;
  return [
    ...tableLines(
      "lrr",
      ["layer", "relative error", "largest error"],
      [...rows, row("all layers", relativeError, most)],
    ),
    "",
    `quantized  ${layers.length} layers to ${quantizer}`,
    `layers     ${change(layerBytes)}`,
    `files      ${change(fileBytes)}`,
    `wrote      ${modelFolder}`,
  ];
}
