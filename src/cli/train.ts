import type { Command } from "commander";
import { flagOf } from "../config/names.js";
import { RECIPES } from "../config/presets.js";
import type { Context } from "./context.js";
import { addSettingFlags, adviceFromSettings, settingsOf } from "./settings-flags.js";
import { supervise } from "./supervise.js";
import { addDetails, addVerb } from "./usage.js";

const DETAILS = `
Flags beat the config file, which beats the preset, which beats the defaults.
Without CONFIG the preset is quickstart:
${Object.entries(RECIPES.quickstart)
  .map(([key, value]) => `  ${flagOf(key)} ${value}`)
  .join("\n")}
`;

/** `highrank train [CONFIG]` */
export function addTrain(program: Command, context: Context): void {
  const command = addVerb(program, "train", "train a model: full, LoRA or ReLoRA", adviceFromSettings).argument(
    "[CONFIG]",
    "settings in YAML or JSON; without it, the quickstart recipe on built-in text",
  );
  addDetails(command, DETAILS);
  addSettingFlags(command);
  command.action(async (configPath: string | undefined) => {
    const settings = await settingsOf(command, configPath);
    const { startTraining } = await import("../training/start.js");
    const waiting = `Reading ${settings.data} and preparing the model`;
    await supervise(context, waiting, (options) => startTraining(settings, options));
  });
}
