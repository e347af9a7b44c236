import type { Command } from "commander";
import { flagOf } from "../config/names.js";
import { RECIPES } from "../config/presets.js";
import type { TrainResult } from "../training/contracts.js";
import type { MetricsRecord, StartRecord } from "../training/metrics.js";
import type { Context } from "./context.js";
import { EXIT } from "./exit-codes.js";
import { withInterrupts } from "./interrupts.js";
import { LiveView } from "./live-view.js";
import { addSettingFlags, adviceFromSettings, settingsOf } from "./settings-flags.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
Flags beat the config file, which beats the preset, which beats the defaults.
Without CONFIG the preset is quickstart:
${Object.entries(RECIPES.quickstart)
  .map(([key, value]) => `  ${flagOf(key)} ${value}`)
  .join("\n")}`;

/** `highrank train [CONFIG]` */
export function addTrain(program: Command, context: Context): void {
  const command = addVerb(program, "train", "train a model: full, LoRA or ReLoRA", adviceFromSettings)
    .argument("[CONFIG]", "settings in YAML or JSON; without it, the quickstart recipe on built-in text")
    .addHelpText("after", HELP_AFTER);
  addSettingFlags(command);
  command.action(async (configPath: string | undefined) => {
    const settings = await settingsOf(command, configPath);
    const { startTraining } = await import("./training-entry.js");
    const view = new LiveView(context.terminal, { env: context.env });
    view.wait(`Reading ${settings.data} and preparing the model`);
    let start: StartRecord | undefined;
    const onRecord = (record: MetricsRecord): void => {
      if (record.kind === "start") start = record;
      view.show(record);
    };
    const run = startTraining(settings, { onRecord });
    const stop = (): "wait" | "quit" => {
      if (start === undefined) return "quit"; // Nothing has been written yet.
      view.note("Stopping after this step, and saving; interrupt again to quit at once.");
      run.stop();
      return "wait";
    };
    const result = await withInterrupts(stop, run.done).finally(() => view.clear());
    if (result.outcome === "stopped") context.exitCode = EXIT.interrupted;
    context.result({ ...result, start }, () => outcomeLines(result));
  });
}

function outcomeLines({ outcome, runFolder, checkpoint, modelFolder }: TrainResult): string[] {
  if (outcome === "planned") return ["dry run: nothing was trained or written"];
  const lines = ["", `report  ${runFolder}/report.html`];
  if (modelFolder !== null) lines.push(`model   ${modelFolder}`);
  if (checkpoint !== null && outcome === "stopped") lines.push(`saved   ${checkpoint}`);
  if (modelFolder !== null) lines.push("", `Next: highrank generate ${shellWord(runFolder)} --prompt "a tree"`);
  return lines;
}

/** The text as one word of a POSIX shell. */
function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
