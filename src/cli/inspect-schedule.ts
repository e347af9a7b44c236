import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { formatLearningRate } from "../base/numbers.js";
import type { DataFacts } from "../config/derive.js";
import { completeSettings } from "../config/resolve.js";
import { describePlan, planRun, planStep } from "../relora/plan.js";
import type { Context } from "./context.js";
import { addSettingFlags, adviceFromSettings, settingsOf } from "./settings-flags.js";
import { plotText } from "./text-plot.js";
import { addVerb } from "./usage.js";

/** Facts of the data, which is not read: the settings that follow from these have no part in learning rates. */
const CHANGES_NO_RATE: DataFacts = { records: 1, longestRow: 1 };

/** Steps whose learning rates are computed and printed. */
const MOST_STEPS = 10_000_000;

/** `highrank inspect schedule [CONFIG]` */
export function addInspectSchedule(inspect: Command, context: Context): void {
  const command = addVerb(inspect, "schedule", "plot the learning rate of a run", {
    advice: adviceFromSettings,
  }).argument("[CONFIG]", "settings in YAML or JSON; without it and --model, the preset quickstart");
  addSettingFlags(command);
  command.action(async (configPath: string | undefined) => {
    const settings = completeSettings(await settingsOf(command, configPath), CHANGES_NO_RATE);
    if (settings.maxSteps > MOST_STEPS) {
      throw new ConfigError(
        `${optionName("maxSteps")}: must be at most ${MOST_STEPS} for a plot of each step, got ${settings.maxSteps}`,
      );
    }
    const learningRates: number[] = [];
    for (let step = 1; step <= settings.maxSteps; step++) {
      const { phase, lrMultiplier } = planStep(step, settings);
      learningRates.push(lrMultiplier * (phase === "adapter" ? settings.adapterLr : settings.lr));
    }
    const plan = planRun(settings);
    context.result({ ...plan, learningRates }, () => [
      `Learning rate of ${settings.maxSteps} steps, schedule ${settings.schedule}`,
      describePlan(plan),
      "",
      ...plotText(learningRates, { columns: context.outlet.columns, formatValue: formatLearningRate }),
    ]);
  });
}
