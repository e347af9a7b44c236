import { forProgram } from "../base/naming.js";
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

/** Names of {@link OriginOptions}. */
export const ORIGIN_NAMES: readonly (keyof OriginOptions)[] = [
  ...(["base", "adapters", "checkpoint", "onDownload", "onNotice"] as const),
];

/** Names of {@link LoadModelOptions}. */
export const LOAD_NAMES: readonly (keyof LoadModelOptions)[] = [
  ...ORIGIN_NAMES,
  ...(["adapter", "device", "threads"] as const),
];

const MACHINE = { device: SETTINGS.device, threads: SETTINGS.threads } as const satisfies OptionTable;

/** The folder or the name. */
export function nameOf(target: Named): string {
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
  const events = { onDownload, onNotice: onNotice && ((text: string): void => onNotice(forProgram(text))) };
  return { base, adapters: weighted, checkpoint, ...events };
}

/** The options with defaults for those that were left out. @throws ConfigError for values out of range. */
export function targetOptionsOf(options: LoadModelOptions): TargetOptions {
  const { adapter = true } = options;
  return { ...originOf(options), adapter, ...completeOptions(MACHINE, options as GivenOptions) };
}
