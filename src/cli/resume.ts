import type { Command } from "commander";
import { RESUME_SETTINGS } from "../config/resume-settings.js";
import type { Context } from "./context.js";
import { addChangeFlags, adviceFromSettings } from "./settings-flags.js";
import { supervise } from "./supervise.js";
import { parseCheckpoint } from "./target-options.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
The result is the same, to the last bit, as without the interruption, whatever
--threads is. Only the settings above can change. A finished run takes more
--max-steps: its learning rate moves to the schedule over the new length.`;

/** `highrank resume RUN` */
export function addResume(program: Command, context: Context): void {
  const command = addVerb(program, "resume", "continue a run that was stopped or killed", {
    advice: adviceFromSettings,
  })
    .argument("RUN", "the run folder")
    .option("--checkpoint <last|best|step>", "the checkpoint to resume from; later ones are removed (default: last)")
    .addHelpText("after", HELP_AFTER);
  addChangeFlags(command, RESUME_SETTINGS);
  command.action(async (runFolder: string) => {
    const { json: _, checkpoint, ...changes } = command.opts();
    const resume = { checkpoint: parseCheckpoint(checkpoint ?? null) ?? "last", changes };
    const { startResuming } = await import("../training/start.js");
    const waiting = `Reading ${runFolder} and preparing the model`;
    await supervise(context, waiting, (options) => startResuming(runFolder, resume, options));
  });
}
