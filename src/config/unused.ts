import { ConfigError } from "../base/errors.js";
import { findSetting, flagOf } from "./names.js";
import type { SettingKey, Settings } from "./settings.js";

/** Settings that mean something only where others are so, and these in words. */
interface Dependence {
  readonly keys: readonly SettingKey[];
  readonly isUsed: (settings: Settings) => boolean;
  readonly use: string;
}

const DEPENDENCES: readonly Dependence[] = [
  {
    keys: [
      ...(["adapterKind", "rank", "alpha", "rslora", "dropout", "adapterInit", "targetModules"] as const),
      ...(["excludeModules", "layersToTransform", "rankPattern", "alphaPattern", "bias"] as const),
      ...(["mergePolicy", "adapterLr", "loraPlusRatio", "warmStartSteps", "trainModules"] as const),
    ],
    isUsed: ({ method }) => method !== "full",
    use: "adapters, of which method full has none",
  },
  {
    keys: ["reloraEvery", "restartShare", "optimizerReset", "pruneRatio"],
    isUsed: ({ method }) => method === "relora",
    use: "method relora",
  },
  {
    keys: ["adapterInit", "loraPlusRatio"],
    isUsed: ({ adapterKind }) => adapterKind !== "core",
    use: `adapters that train A and B, not for ${flagOf("adapterKind")} core`,
  },
  {
    keys: ["cycleLength"],
    isUsed: ({ method, schedule }) => method === "relora" || schedule === "cosine_restarts",
    use: "method relora, or for schedule cosine_restarts",
  },
  {
    keys: ["pruneRatio"],
    isUsed: ({ optimizerReset }) => optimizerReset === "magnitude" || optimizerReset === "random",
    use: `${flagOf("optimizerReset")} magnitude or random`,
  },
  {
    keys: ["restartBatches"],
    isUsed: ({ method, optimizerReset, adapterKind }) =>
      method !== "full" && (adapterKind === "core" || optimizerReset === "primed"),
    use: `${flagOf("optimizerReset")} primed and for ${flagOf("adapterKind")} core`,
  },
  {
    keys: ["minLrRatio"],
    isUsed: ({ schedule }) => schedule !== "constant" && schedule !== "linear",
    use: "the cosine schedules",
  },
  {
    keys: ["quantBlockSize"],
    isUsed: ({ quantize }) => quantize === "nf4" || quantize === "fp4",
    use: `${flagOf("quantize")} nf4 or fp4`,
  },
  { keys: ["minImprovement"], isUsed: ({ patience }) => patience !== null, use: flagOf("patience") },
];

/**
 * Refuses flags that would change nothing. Config files may hold settings for several methods, and are not looked at.
 * @param flags by name, as they were given.
 * @throws ConfigError that names each of them.
 */
export function requireUsed(flags: Readonly<Record<string, unknown>>, settings: Settings): void {
  const faults = new Map<string, string>();
  for (const [name, value] of Object.entries(flags)) {
    const key = findSetting(name)?.key;
    if (key === undefined || value === undefined || value === false) continue;
    const unmet = DEPENDENCES.find(({ keys, isUsed }) => keys.includes(key) && !isUsed(settings));
    if (unmet !== undefined) faults.set(name, `${flagOf(name)}: is for ${unmet.use}; leave it out`);
  }
  if (faults.size > 0) throw new ConfigError([...faults.values()].join("\n"));
}
