import { exists } from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { suggest } from "../base/suggest.js";
import { isModelPreset, MODEL_PRESETS } from "../config/presets.js";
import type { Settings } from "../config/settings.js";
import { locateModel } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { locateTokenizer, modelToBeginFrom } from "./run-model.js";

/** The settings that name models, and whether an adapter is looked for. */
type ModelNames = Pick<Settings, "model" | "tokenizer" | "adapterFrom" | "method">;

/** The models that the settings of a run name, and where they are. */
export interface NamedModels<S extends ModelNames = Settings> {
  /** The settings with the commit of each hub model that they name, so that they mean the same at any time. */
  readonly settings: S;
  /** Null for a model that starts at random. */
  readonly modelFolder: string | null;
  /** Null for a tokenizer that is to be trained. */
  readonly tokenizerFolder: string | null;
  /** The adapter that training goes on from; null for new ones. */
  readonly adapterFolder: string | null;
}

/**
 * Finds the model and the tokenizer that the settings name; those of the hub are downloaded.
 * A run that is named as the model stands for its finished model, and as the tokenizer for its own.
 * @throws ConfigError for a model that is neither a preset nor anything on disk; CheckpointError as `downloadModel`.
 */
export async function locateModels<S extends ModelNames>(
  settings: S,
  events: DownloadEvents = {},
): Promise<NamedModels<S>> {
  const { model, tokenizer, adapterFrom, method } = settings;
  await requireModel(model);
  const found = isModelPreset(model) ? null : await locateModel(await modelToBeginFrom(model), events);
  const own = tokenizer === null ? null : await locateTokenizer(tokenizer, events);
  const adapter = adapterFrom === null || method === "full" ? null : await locateModel(adapterFrom, events);
  const names = {
    model: found?.name ?? model,
    tokenizer: own?.name ?? null,
    adapterFrom: adapter?.name ?? adapterFrom,
  };
  return {
    settings: { ...settings, ...names },
    modelFolder: found?.folder ?? null,
    tokenizerFolder: (own ?? found)?.folder ?? null,
    adapterFolder: adapter?.folder ?? null,
  };
}

/**
 * @throws ConfigError for a name that is neither a preset nor anything on disk; a path that leads nowhere fails on
 * loading.
 */
async function requireModel(model: string): Promise<void> {
  if (isModelPreset(model) || model.includes("/") || (await exists(model))) return;
  const presets = Object.keys(MODEL_PRESETS);
  const nearest = suggest(model, presets);
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  throw new ConfigError(
    `${optionName("model")}: "${model}" is neither a model folder nor one of the presets ${presets.join(", ")}${hint}`,
  );
}
