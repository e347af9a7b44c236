export { type ConfigFile, loadConfigFile } from "./config-file.js";
export type { DataFacts, OpenSettings } from "./derive.js";
export { MODEL_PRESETS, type ModelPreset, RECIPES } from "./presets.js";
export { completeSettings, resolveSettings, type SettingSources } from "./resolve.js";
export { settingsJsonSchema } from "./schema.js";
export type { Settings } from "./settings.js";
export type { TrainSettings } from "./train-settings.js";
