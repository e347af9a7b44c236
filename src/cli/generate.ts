import type { Command } from "commander";
import { SETTINGS } from "../config/settings.js";
import type { Context } from "./context.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";
import { addTargetOptions, readTargetOptions, TARGET_HELP } from "./target-options.js";
import { isInteractive, withoutControls } from "./terminal.js";
import { addVerb } from "./usage.js";

const OPTIONS = {
  prompt: { type: "string", default: "", help: "Text to continue; empty for the start of a document." },
  maxNewTokens: { type: "integer", default: 100, min: 1, unit: "tokens", help: "Length of what is generated." },
  temperature: { type: "number", default: 0.8, min: 0, help: "Spread of the sampling; 0 takes the likeliest token." },
  topK: {
    type: "integer",
    default: null,
    none: "all",
    min: 1,
    unit: "tokens",
    help: "Sample from the likeliest so many.",
  },
  topP: {
    type: "number",
    default: 1,
    above: 0,
    max: 1,
    help: "Sample from the likeliest tokens that together have this probability.",
  },
  seed: SETTINGS.seed,
} as const satisfies OptionTable;

/** `highrank generate TARGET --prompt T` */
export function addGenerate(program: Command, context: Context): void {
  const command = addVerb(program, "generate", "continue a prompt").argument("<TARGET>", TARGET_HELP);
  addOptions(command, OPTIONS);
  addTargetOptions(command);
  command.action(async (target: string) => {
    const options = { ...readOptions(command, OPTIONS), ...readTargetOptions(command), ...context.events };
    const { prompt } = options;
    const { generateText } = await import("./training-entry.js");
    if (context.json) {
      context.result({ prompt, ...(await generateText(target, options)) }, () => []);
      return;
    }
    const { terminal } = context;
    const shown = isInteractive(terminal, context.env) ? withoutControls : String;
    // The prompt comes with the first piece, so that an error on the way there stands alone.
    let before = prompt;
    const onText = (piece: string): void => {
      terminal.write(shown(before + piece));
      before = "";
    };
    await generateText(target, { ...options, onText });
    terminal.write(`${shown(before)}\n`);
  });
}
