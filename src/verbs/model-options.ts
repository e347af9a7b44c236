import { either, FLAG, FUNCTION, type Kind, listOf, orNull, requireArguments, TEXT } from "../base/arguments.js";
import { isObject } from "../base/json.js";
import { heardByProgram } from "../base/naming.js";
import { SETTINGS } from "../config/settings.js";
import type { WeightedAdapter } from "../loading/weighted-adapters.js";
import { completeOptions, type GivenOptions, type OptionTable } from "./option-table.js";
import type { Origin, TargetOptions } from "./target.js";

/** A trained model by name: a run folder, a model or a PEFT adapter, a folder or of the hub; or a run that ended. */
export type Named = string | { readonly folder: string };

/** Options that may go with the name of a model that is written elsewhere; all may be left out. */
export interface OriginOptions extends Partial<Omit<Origin, "adapters">> {
  /** Adapters for a model, each a folder or a name of the hub, with a weight or the weight 1. Default: none. */
  readonly adapters?: readonly (string | WeightedAdapter)[];
}

/** Options for loading a model to compute with; all may be left out. */
export interface LoadModelOptions extends OriginOptions {
  /** False takes the base of an adapter or of a run alone. Default true. */
  readonly adapter?: boolean;
  /** Default: the CPU. */
  readonly device?: TargetOptions["device"];
  /** Threads of the computation. Default and null: as many as the machine has cores. */
  readonly threads?: number | null;
}

const WEIGHTED: Kind = {
  words: "an object of an adapter and its weight",
  holds: (value) => isObject(value) && typeof value.adapter === "string" && typeof value.weight === "number",
};
export const CHECKPOINT: Kind = {
  words: '"last", "best", the number of a step, or null',
  holds: (value) => value === null || value === "last" || value === "best" || Number.isSafeInteger(value),
};

/** {@link OriginOptions}. */
export const ORIGIN = {
  base: orNull(TEXT),
  adapters: listOf(either(TEXT, WEIGHTED)),
  checkpoint: CHECKPOINT,
  onDownload: FUNCTION,
  onNotice: FUNCTION,
} as const satisfies Record<keyof OriginOptions, Kind>;

/** {@link LoadModelOptions} without those of {@link MACHINE}. */
export const LOADING = { ...ORIGIN, adapter: FLAG } as const satisfies Partial<Record<keyof LoadModelOptions, Kind>>;

export const MACHINE = { device: SETTINGS.device, threads: SETTINGS.threads } as const satisfies OptionTable;

const NAMED: Kind = {
  words: "the path or the name of a model, or a run that ended",
  holds: (value) => typeof (isObject(value) ? value.folder : value) === "string",
};

/** The folder or the name. @throws ConfigError for anything else. */
export function nameOf(call: string, target: Named): string {
  requireArguments(call, { target: NAMED }, { target });
  return typeof target === "string" ? target : target.folder;
}

/** The options with defaults for those that were left out. */
export function originOf({
  base = null,
  adapters = [],
  checkpoint = null,
  onDownload,
  onNotice,
}: OriginOptions): Origin {
  const weighted = adapters.map((each) => (typeof each === "string" ? { adapter: each, weight: 1 } : each));
  return { base, adapters: weighted, checkpoint, onDownload, onNotice: heardByProgram(onNotice) };
}

/** The options with defaults for those that were left out. @throws ConfigError for values out of range. */
export function targetOptionsOf(options: LoadModelOptions): TargetOptions {
  const { adapter = true } = options;
  return { ...originOf(options), adapter, ...completeOptions(MACHINE, options as GivenOptions) };
}
