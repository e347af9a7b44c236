import { formatDuration } from "../base/numbers.js";
import type { AnswerDataOptions, AnsweredData, AnswerProgress } from "../verbs/answer-data.js";
import type { Context } from "./context.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { withInterrupts } from "./interrupts.js";
import { cutToWidth, ERASE_LINE, isInteractive } from "./terminal.js";

const PLAIN_INTERVAL_MS = 10_000;

/** Answers the prompts of a file; an interrupt keeps what was answered. */
export async function answerFile(target: string, options: AnswerDataOptions, context: Context): Promise<void> {
  const { answerData } = await import("../verbs/answer-data.js");
  const view = new AnswerView(context);
  const controller = new AbortController();
  let begun = false;
  let code: ExitCode = EXIT.interrupted;
  const stop = (ofSignal: ExitCode): "wait" | "quit" => {
    if (!begun) return "quit"; // Nothing has been written yet.
    code = ofSignal;
    view.clear();
    context.note("stopping, and keeping what was answered; interrupt again to quit at once");
    controller.abort();
    return "wait";
  };
  const onProgress = (progress: AnswerProgress): void => {
    begun = true;
    view.show(progress);
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

/** Shows on standard error how far it is: in a line that is redrawn, or elsewhere every ten seconds. */
class AnswerView {
  readonly #context: Context;
  readonly #isInteractive: boolean;
  #start: number | undefined;
  #shownAt: number;
  #isDrawn = false;

  constructor(context: Context) {
    this.#context = context;
    this.#isInteractive = isInteractive(context.stderr, context.env);
    this.#shownAt = performance.now();
  }

  show(progress: AnswerProgress): void {
    const now = performance.now();
    this.#start ??= now;
    if (!this.#isInteractive && now - this.#shownAt < PLAIN_INTERVAL_MS) return;
    this.#shownAt = now;
    const { stderr } = this.#context;
    const line = progressLine(progress, (now - this.#start) / 1000);
    // A terminal wraps when its last column is written, so that one stays free.
    stderr.write(this.#isInteractive ? ERASE_LINE + cutToWidth(line, stderr.columns - 1) : `${line}\n`);
    this.#isDrawn = this.#isInteractive;
  }

  clear(): void {
    if (this.#isDrawn) this.#context.stderr.write(ERASE_LINE);
    this.#isDrawn = false;
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
