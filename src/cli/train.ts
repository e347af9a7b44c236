import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import { flagOf } from "../base/naming.js";
import { RECIPES } from "../config/presets.js";
import { addSweepOption, runStudy, sweptBy } from "./compare.js";
import type { Context } from "./context.js";
import { addSettingFlags, adviceFromSettings, settingFlags, settingsOf, settingsResolver } from "./settings-flags.js";
import { supervise } from "./supervise.js";
import { addDetails, addVerb } from "./usage.js";

const DETAILS = `
Flags beat the config file, which beats the preset, which beats the defaults.
Where neither CONFIG nor --model is given, the preset is quickstart:
${Object.entries(RECIPES.quickstart)
  .map(([key, value]) => `  ${flagOf(key)} ${value}`)
  .join("\n")}
`;

/** `highrank train [CONFIG]` */
export function addTrain(program: Command, context: Context): void {
  const command = addVerb(program, "train", "train a model: full, LoRA or ReLoRA", {
    advice: adviceFromSettings,
  }).argument("[CONFIG]", "settings in YAML or JSON; without it and --model, the preset quickstart");
  addDetails(command, DETAILS);
  addSettingFlags(command);
  addSweepOption(command);
  command.option("--parallel <runs>", "With --sweep, runs at a time. (default: 1)");
  command.action(async (configPath: string | undefined) => {
    if (sweptBy(command).length > 0) return sweep(context, command, configPath);
    const settings = await settingsOf(command, configPath, context.events.onNotice);
    const { startTraining } = await import("../training/start.js");
    const waiting = `Reading ${settings.data} and preparing the model`;
    await supervise(context, waiting, (options) => startTraining(settings, options));
  });
}

/** Trains with each value of the sweeps, and says which is best. */
async function sweep(context: Context, command: Command, configPath: string | undefined): Promise<void> {
  context.requireAlone("a sweep");
  const { parseSweeps, requireUnset, sweepStudy } = await import("../studies/sweep.js");
  const sweeps = parseSweeps(sweptBy(command));
  const { parallel: runs, dryRun, out, overwrite, ...flags } = settingFlags(command);
  requireUnset(flags, sweeps);
  if (overwrite !== undefined) {
    throw new ConfigError("--overwrite: a sweep continues what is in its folder; name another with --out");
  }
  const parallel = Number(runs ?? 1);
  if (!Number.isInteger(parallel) || parallel < 1) {
    throw new ConfigError(`--parallel: must be an integer of at least 1, got ${runs}`);
  }
  const resolve = await settingsResolver(configPath);
  const title = `Sweep of ${sweeps.map(({ key }) => key).join(" and ")}`;
  const study = sweepStudy(sweeps, (values) => resolve({ ...flags, ...values }), title);
  const folder = `studies/sweep-${sweeps.map(({ key }) => key).join("-")}`;
  const request = { out: typeof out === "string" ? out : folder, parallel, dryRun: dryRun === true, sweeps };
  await runStudy(context, command, study, request);
}
