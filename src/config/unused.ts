import { adapterKind } from "../adapters/kinds.js";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { isFourBitType } from "../ops/four-bit-codes.js";
import { isPruning, PRUNING_METHODS } from "../optim/reset.js";
import type { OpenSettings } from "./derive.js";
import { jobOf } from "./jobs.js";
import { findSetting, settingOf } from "./names.js";
import { SETTINGS, type SettingUse } from "./settings.js";

/** When a use of settings holds, and the words for it. */
const USES: Readonly<Record<SettingUse, { isMet(settings: OpenSettings): boolean; words: string }>> = {
  adapters: { isMet: ({ method }) => method !== "full", words: "adapters, of which method full has none" },
  "new adapters": {
    isMet: ({ adapterFrom }) => adapterFrom === null,
    words: `adapters that start anew; ${optionName("adapterFrom")} keeps what its adapter has`,
  },
  relora: { isMet: ({ method }) => method === "relora", words: "method relora" },
  "fixed cycles": {
    isMet: ({ method, restart }) => method !== "relora" || restart === "fixed",
    words: `${optionName("restart")} fixed`,
  },
  cycles: {
    isMet: ({ method, schedule }) => method === "relora" || schedule === "cosine_restarts",
    words: "method relora, or for schedule cosine_restarts",
  },
  pruning: {
    isMet: ({ optimizerReset }) => isPruning(optimizerReset),
    words: `${optionName("optimizerReset")} ${PRUNING_METHODS.join(" or ")}`,
  },
  "seen gradients": {
    isMet: ({ method, optimizerReset, adapterKind: name }) =>
      method !== "full" && (adapterKind(name).startsInGradients === true || optimizerReset === "primed"),
    words:
      `${optionName("optimizerReset")} primed and for adapters that start in gradients, as ` +
      `${optionName("adapterKind")} core`,
  },
  cosine: {
    isMet: ({ schedule }) => schedule !== "constant" && schedule !== "linear",
    words: "the cosine schedules",
  },
  "four bits": {
    isMet: ({ quantize }) => isFourBitType(quantize),
    words: `${optionName("quantize")} nf4 or fp4`,
  },
  "quantized weights": {
    // The folder of a model may hold quantized weights.
    isMet: (settings) => settings.quantize !== "none" || jobOf(settings) === "fine-tune",
    words: `quantized weights, and ${optionName("quantize")} is none`,
  },
  "trained tokenizer": {
    isMet: ({ tokenizer }) => tokenizer === null,
    words: `a tokenizer that is trained, and ${optionName("tokenizer")} names one`,
  },
  "kept tokens": {
    isMet: ({ tokenCacheLimit }) => tokenCacheLimit > 0,
    words: `tokens that are kept, and ${optionName("tokenCacheLimit")} 0 keeps none`,
  },
  samples: {
    isMet: ({ sampleTokens }) => sampleTokens > 0,
    words: `samples, and ${optionName("sampleTokens")} 0 writes none`,
  },
  "re-warming": {
    isMet: ({ method, schedule, warmStartSteps }) =>
      schedule === "cosine_restarts" || (method !== "full" && warmStartSteps !== 0),
    words: "schedule cosine_restarts, or for adapters after a warm start",
  },
  evaluations: {
    isMet: ({ evalEvery }) => evalEvery !== null,
    words: `evaluations on the way, and ${optionName("evalEvery")} none makes none`,
  },
  divergence: {
    isMet: ({ divergenceFactor }) => divergenceFactor !== null,
    words: optionName("divergenceFactor"),
  },
  "drawn validation": {
    isMet: ({ validData }) => validData === null,
    words: `held-out data that are drawn from the data, and ${optionName("validData")} names others`,
  },
  "full weights": {
    isMet: usesRate,
    words: `weights that train in full, and here adapters alone do, at ${optionName("adapterLr")}`,
  },
  patience: { isMet: ({ patience }) => patience !== null, words: optionName("patience") },
};

/** True if something trains at `lr`: weights beside the adapters, at some time or maybe, or adapters that follow it. */
export function usesRate({
  method,
  lr,
  adapterLr,
  warmStartSteps,
  trainModules,
  bias,
  adapterFrom,
}: Pick<
  OpenSettings,
  "method" | "lr" | "adapterLr" | "warmStartSteps" | "trainModules" | "bias" | "adapterFrom"
>): boolean {
  const adaptersAlone = trainModules.length === 0 && bias === "none" && adapterFrom === null;
  return lr === adapterLr || method === "full" || warmStartSteps !== 0 || !adaptersAlone;
}

/**
 * Refuses flags that would change nothing. Config files may hold settings for several methods: see {@link unusedOf}.
 * @param flags by name, as they were given.
 * @throws ConfigError that names each of them.
 */
export function requireUsed(flags: Readonly<Record<string, unknown>>, settings: OpenSettings): void {
  const faults = [...unusedOf(flags, settings)].map(
    ([name, words]) => `${optionName(name)}: is for ${words}; leave it out`,
  );
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
}

/**
 * Sentences about given settings that change nothing. Of a complete set there are none, as not all of its settings were
 * chosen.
 */
export function unusedNotices(given: Readonly<Record<string, unknown>>, settings: OpenSettings): string[] {
  if (Object.keys(SETTINGS).every((key) => Object.hasOwn(given, key))) return [];
  return [...unusedOf(given, settings)].map(([name, words]) => `${name} is for ${words}, and changes nothing here.`);
}

/** Given settings that change nothing, by name, and what each is for. */
function unusedOf(given: Readonly<Record<string, unknown>>, settings: OpenSettings): Map<string, string> {
  const unused = new Map<string, string>();
  const ignored: readonly string[] = adapterKind(settings.adapterKind).ignores ?? [];
  for (const [name, value] of Object.entries(given)) {
    const key = findSetting(name)?.key;
    if (key === undefined || value === undefined || value === null || value === false) continue;
    const unmet = settingOf(key).usedBy?.find((use) => !USES[use].isMet(settings));
    if (unmet !== undefined) unused.set(name, USES[unmet].words);
    else if (ignored.includes(key)) {
      unused.set(name, `other adapters than those of ${optionName("adapterKind")} ${settings.adapterKind}`);
    }
  }
  return unused;
}
