import type { Command } from "commander";
import { SETTINGS } from "../config/settings.js";
import type { TargetOptions } from "../training/contracts.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";

/** The TARGET argument of the verbs that load a trained model. */
export const TARGET_HELP = "a run folder, a Hugging Face model folder, or a PEFT adapter folder (with --base)";

const TARGET_OPTIONS = {
  base: {
    type: "string",
    default: null,
    none: "the target holds it",
    help: "Model folder under a PEFT adapter folder.",
  },
  adapter: {
    type: "choice",
    choices: ["with", "none"],
    default: "with",
    help: "none leaves the adapter out and takes the base alone.",
  },
  device: SETTINGS.device,
  threads: SETTINGS.threads,
} as const satisfies OptionTable;

/** Adds the options of loading a trained model. */
export function addTargetOptions(command: Command): void {
  addOptions(command, TARGET_OPTIONS);
}

/** The options of loading a trained model, checked. */
export function readTargetOptions(command: Command): TargetOptions {
  const { adapter, ...rest } = readOptions(command, TARGET_OPTIONS);
  return { ...rest, adapter: adapter === "with" };
}
