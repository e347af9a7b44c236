import type { HeldOutSample } from "../runs/held-out-sample.js";
import type { MetricsRecord } from "../runs/metrics.js";
import { cutToWidth, singleLine } from "./terminal.js";

const INDENT = " ".repeat(8);

/** The held-out prompts with what the model wrote before the training and after it, a line each; none where only one is known. */
export function beforeAndAfterLines(records: readonly MetricsRecord[], columns: number): string[] {
  const answered = records.flatMap((record) =>
    record.kind === "eval" && record.samples !== undefined ? [{ step: record.step, samples: record.samples }] : [],
  );
  const [first, last] = [answered[0], answered.at(-1)];
  if (first === undefined || last === undefined || first === last) return [];
  const line = (name: string, text: string): string =>
    `${INDENT}${name.padEnd(8)}${cutToWidth(singleLine(text), columns - 2 * INDENT.length)}`;
  return last.samples.flatMap((sample, index) => {
    const before = first.samples[index]?.text;
    const { role, text } = askedIn(sample);
    return [
      `${(index === 0 ? "answers" : "").padEnd(INDENT.length)}${cutToWidth(singleLine(`${role}${text}`), columns - INDENT.length)}`,
      ...(before === undefined ? [] : [line(first.step === 0 ? "before" : `step ${first.step}`, before)]),
      line("after", sample.text),
      ...(sample.reference === undefined ? [] : [line("data", sample.reference)]),
    ];
  });
}

/** The last turn of a chat with its role, or the prompt. */
function askedIn({ prompt, messages }: HeldOutSample): { readonly role: string; readonly text: string } {
  const last = messages?.at(-1);
  return last === undefined ? { role: "", text: prompt ?? "" } : { role: `${last.role}: `, text: last.content };
}
