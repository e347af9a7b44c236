import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import { SETTINGS } from "../config/settings.js";
import type { WeightedAdapter } from "../loading/weighted-adapters.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import type { MergeOptions } from "../verbs/merge.js";
import type { TargetOptions } from "../verbs/target.js";
import { addOptions, type OptionTable, readOptions } from "./options.js";

/** The TARGET argument of the verbs that load a trained model. */
export const TARGET_HELP =
  "a run folder, a GGUF file, or a Hugging Face model or PEFT adapter (with --base): a folder or a name of the hub";

const BASE_HELP = "Model under a PEFT adapter: a folder, a GGUF file or a name of the hub.";

const CHECKPOINT = {
  type: "string",
  unit: "last|best|step",
  default: null,
  help: "Checkpoint of a run folder.",
} as const;

const ADAPTERS = {
  type: "list",
  path: "name or path",
  default: [],
  help:
    "PEFT adapters for a model, each a folder or a name of the hub, with =WEIGHT to scale its update; " +
    "the updates are added.",
} as const;

const TARGET_OPTIONS = {
  base: {
    type: "string",
    path: "name or path",
    default: null,
    none: "the target holds or names it",
    help: BASE_HELP,
  },
  adapter: {
    type: "choice",
    isRare: true,
    choices: ["with", "none"],
    default: "with",
    help: "none leaves the adapter out and takes the base alone.",
  },
  adapters: { ...ADAPTERS, isRare: true },
  checkpoint: { ...CHECKPOINT, none: "the finished model, or else the newest state" },
  device: { ...SETTINGS.device, isRare: true },
  threads: { ...SETTINGS.threads, isRare: true },
} as const satisfies OptionTable;

/** Adds the options of loading a trained model. */
export function addTargetOptions(command: Command): void {
  addOptions(command, TARGET_OPTIONS);
}

/** The options of loading a trained model, checked. */
export function readTargetOptions(command: Command): TargetOptions {
  const { adapter, adapters, checkpoint, ...rest } = readOptions(command, TARGET_OPTIONS);
  if (adapter === "none" && adapters.length > 0) {
    throw new ConfigError(
      "--adapters does not go with --adapter none, which takes the model alone; leave one of them out",
    );
  }
  const origin = { adapters: adapters.map(parseAdapter), checkpoint: parseCheckpoint(checkpoint) };
  return { ...rest, adapter: adapter === "with", ...origin };
}

const { base, checkpoint, device, threads } = TARGET_OPTIONS;
const PLAIN_OPTIONS = { base, checkpoint, device, threads } as const satisfies OptionTable;

/** Adds the options of loading a trained model as it is. */
export function addPlainTargetOptions(command: Command): void {
  addOptions(command, PLAIN_OPTIONS);
}

/** Those options, checked. */
export function readPlainTargetOptions(
  command: Command,
): Pick<TargetOptions, "base" | "checkpoint" | "device" | "threads"> {
  const options = readOptions(command, PLAIN_OPTIONS);
  return { ...options, checkpoint: parseCheckpoint(options.checkpoint) };
}

const ORIGIN_OPTIONS = {
  base: {
    type: "string",
    path: "name or path",
    unit: "model",
    default: null,
    none: "the one that the adapter names",
    help: BASE_HELP,
  },
  adapters: ADAPTERS,
  checkpoint: { ...CHECKPOINT, none: "the last one, or the best where the run has load-best" },
} as const satisfies OptionTable;

/** Adds the options of verbs that write a target somewhere else. */
export function addOriginOptions(command: Command): void {
  addOptions(command, ORIGIN_OPTIONS);
}

/** Those options, checked. */
export function readOriginOptions(command: Command): Pick<MergeOptions, "base" | "adapters" | "checkpoint"> {
  const { base, adapters, checkpoint } = readOptions(command, ORIGIN_OPTIONS);
  return { base, adapters: adapters.map(parseAdapter), checkpoint: parseCheckpoint(checkpoint) };
}

/** `path/to/adapter=0.5`; the weight is 1 if there is none. @throws ConfigError for a weight that is no number. */
function parseAdapter(text: string): WeightedAdapter {
  const [, adapter = text, weight = "1"] = /^(.+)=([^=/\\]*)$/.exec(text) ?? [];
  if (weight.trim() !== "" && Number.isFinite(Number(weight))) return { adapter, weight: Number(weight) };
  throw new ConfigError(`--adapters: must be adapters with =WEIGHT, a number, or without, got "${text}"`);
}

/** The checkpoint that the text names; null for null. @throws ConfigError for other text. */
export function parseCheckpoint(text: string | null): CheckpointName | null {
  if (text === null || text === "last" || text === "best") return text;
  const step = Number(/^(?:checkpoint-)?(\d+)$/.exec(text)?.[1]);
  if (Number.isSafeInteger(step)) return step;
  throw new ConfigError(`--checkpoint: must be last, best, or the step of a checkpoint such as 100, got "${text}"`);
}
