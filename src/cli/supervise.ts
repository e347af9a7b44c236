import { joinPath, readText } from "#platform";
import { InterruptedError } from "../base/errors.js";
import type { MetricsRecord, PublishedLosses, StartRecord } from "../runs/metrics.js";
import type { TrainResult } from "../training/ending.js";
import type { TrainingHandle } from "../training/start.js";
import type { TrainingOptions } from "../training/train.js";
import { beforeAndAfterLines } from "./before-and-after.js";
import type { Context } from "./context.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { withInterrupts } from "./interrupts.js";
import { warningLines } from "./live-lines.js";
import { LiveView } from "./live-view.js";
import { type ExamplePrompt, generateWords, nextLines, takesText } from "./next-command.js";
import { styleFor } from "./terminal.js";

/**
 * Shows a run under way, lets an interrupt stop it at the next step with a checkpoint, and prints its end and the next
 * command.
 * @param waiting says what happens until the run begins.
 */
export async function supervise(
  context: Context,
  waiting: string,
  start: (options: TrainingOptions) => TrainingHandle,
): Promise<void> {
  const view = new LiveView(context.outlet, { env: context.env });
  view.wait(waiting);
  let started: StartRecord | undefined;
  let trained = false;
  const heard: MetricsRecord[] = [];
  const { downloads } = context;
  const onRecord = (record: MetricsRecord): void => {
    downloads.clear();
    if (record.kind !== "step") heard.push(record); // of steps, of which there may be millions, nothing is shown then
    if (record.kind === "start") {
      started = record;
      context.follow(record.runFolder);
    }
    trained ||= record.kind === "step";
    view.show(record);
  };
  const note = (text: string): void => {
    downloads.clear();
    view.note(text);
  };
  const run = start({ onRecord, onNotice: note, onDownload: downloads.onDownload, onPreparing: downloads.onPreparing });
  let code: ExitCode = EXIT.interrupted;
  const stop = (ofSignal: ExitCode): "wait" | "quit" => {
    if (started === undefined) return "quit"; // Nothing has been written yet.
    code = ofSignal;
    note("Stopping and saving after this step; interrupt again to quit at once.");
    run.stop();
    return "wait";
  };
  try {
    const result = await context.goOn(withInterrupts(stop, run.done)).finally(() => view.clear());
    if (result.outcome === "stopped") context.exitCode = code;
    const { allRecords } = await import("../runs/all-records.js");
    const records = result.outcome === "planned" ? [] : await allRecords(result.runFolder, heard);
    const { prompt = "The", isChat = false } = started?.outline ?? {};
    const example = (await takesText(result.modelFolder ?? result.runFolder)) ? { prompt, isChat } : null;
    context.result({ ...result, start: started }, () => [
      ...courseLines(result, records, context),
      ...outcomeLines(result, context.name, example),
    ]);
  } catch (error) {
    if (started !== undefined && trained) await offerResume(context, started.runFolder);
    if (!(error instanceof InterruptedError)) throw error;
    context.fail(error);
    context.exitCode = code;
  }
}

/** The answers before and after, and what the numbers say. */
function courseLines({ warnings }: TrainResult, records: readonly MetricsRecord[], { outlet, env }: Context): string[] {
  const answers = beforeAndAfterLines(records, outlet.columns);
  const warned = warnings.flatMap((warning) => warningLines(warning, outlet.columns, styleFor(outlet, env)));
  return [answers, warned].flatMap((lines) => (lines.length === 0 ? [] : ["", ...lines]));
}

function outcomeLines(result: TrainResult, program: string, example: ExamplePrompt | null): string[] {
  const { outcome, runFolder, step, checkpoint, modelFolder, modelStep, losses } = result;
  if (outcome === "planned") return ["dry run: nothing was trained or written"];
  const lines = ["", ...(losses === null ? [] : lossLines(losses)), `report  ${runFolder}/report.html`];
  const best = modelStep === step ? "" : `, of step ${modelStep}, the best`;
  if (modelFolder !== null) lines.push(`model   ${modelFolder}${best}`);
  if (checkpoint !== null && outcome === "stopped") lines.push(`saved   ${checkpoint}`);
  if (outcome === "stopped") return [...lines, ...nextLines(program, ["resume", runFolder])];
  if (modelFolder === null) return lines;
  return [...lines, ...nextLines(program, generateWords(runFolder, example))];
}

/** The held-out losses of the finished model; one line where its trained and its exact weights are the same. */
function lossLines({ trained, exact }: PublishedLosses): string[] {
  const text = (loss: number | null): string => (loss === null ? "not measured" : loss.toFixed(4));
  if (trained === exact) return [`loss    ${text(trained)} held out`];
  return [
    `loss    ${text(trained)} held out, with the trained weights: the quantized base and the adapter`,
    `        ${text(exact)} held out, with the exact weights, which are the model: in float32, nothing rounded`,
  ];
}

/** Prints how to resume from the last checkpoint, if there is one, after a failure. */
async function offerResume(context: Context, runFolder: string): Promise<void> {
  const last = await readText(joinPath(runFolder, "last")).catch(() => "");
  if (last === "") return;
  const [, next] = nextLines(context.name, ["resume", runFolder]);
  context.outlet.print(["", `saved   ${runFolder}/${last.trim()}`, next!, ""]);
}
