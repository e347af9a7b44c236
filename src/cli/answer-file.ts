import { formatDuration } from "../base/numbers.js";
import type { AnswerDataOptions, AnsweredData, AnswerProgress } from "../verbs/answer-data.js";
import type { Context } from "./context.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { withInterrupts } from "./interrupts.js";
import { ProgressLine } from "./progress-line.js";
import { cutToWidth } from "./terminal.js";

/** Answers the prompts of a file; an interrupt keeps what was answered. */
export async function answerFile(target: string, options: AnswerDataOptions, context: Context): Promise<void> {
  const { answerData } = await import("../verbs/answer-data.js");
  const view = new ProgressLine(context.stderr, context.env, performance.now());
  const controller = new AbortController();
  let start: number | undefined;
  let code: ExitCode = EXIT.interrupted;
  const stop = (ofSignal: ExitCode): "wait" | "quit" => {
    if (start === undefined) return "quit"; // Nothing has been written yet.
    code = ofSignal;
    view.clear();
    context.note("stopping, and keeping what was answered; interrupt again to quit at once");
    controller.abort();
    return "wait";
  };
  const onProgress = (progress: AnswerProgress): void => {
    const now = performance.now();
    start ??= now;
    const begun = start;
    view.show(now, (columns) => cutToWidth(progressLine(progress, (now - begun) / 1000), columns));
  };
  const work = answerData(target, { ...options, onProgress, signal: controller.signal });
  const answered = await withInterrupts(stop, work).finally(() => view.clear());
  if (answered.outcome === "stopped") context.exitCode = code;
  noteEnds(context, answered, options);
  context.result(answered, () => [resultLine(answered)]);
}

/** `64 of 64 prompts answered in 1m 20s, 1530 tokens (19.1 a second): answers.jsonl` */
function resultLine({ answered, prompts, seconds, tokens, file }: AnsweredData): string {
  const speed = seconds > 0 ? ` (${(tokens / seconds).toFixed(1)} a second)` : "";
  const counts = `${answered} of ${prompts} prompts answered in ${formatDuration(seconds)}, ${tokens} tokens${speed}`;
  return file === null ? counts : `${counts}: ${file}`;
}

function noteEnds(context: Context, { cut, restarted }: AnsweredData, { maxNewTokens }: AnswerDataOptions): void {
  if (cut > 0) context.note(`${cut} of the answers were cut at ${maxNewTokens} tokens (--max-new-tokens)`);
  if (restarted > 0) {
    context.note(`${restarted} of the texts outgrew what the model sees, and continued from the last half of it`);
  }
}

/** `12 of 64 answered  340 tokens  19.1 a second  1m 20s left` */
export function progressLine({ answered, prompts, tokens }: AnswerProgress, seconds: number): string {
  const parts = [`${answered} of ${prompts} answered`];
  if (answered > 0 && seconds > 0) {
    parts.push(`${tokens} tokens`, `${(tokens / seconds).toFixed(1)} a second`);
    if (answered < prompts) parts.push(`${formatDuration((seconds / answered) * (prompts - answered))} left`);
  }
  return parts.join("  ");
}
