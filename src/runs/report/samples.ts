import type { HeldOutSample } from "../held-out-sample.js";
import type { EvalRecord } from "../metrics.js";
import { escapeHtml } from "./html.js";

/**
 * What the model wrote at its evaluations. Where held-out prompts were answered, each prompt stands above the answer of
 * the last evaluation and that of the first; or else the texts stand one below the other, the last first. Empty where
 * nothing was written.
 */
export function sampleList(evals: readonly EvalRecord[]): string {
  const answered = evals.filter(({ samples = [] }) => samples.length > 0);
  const texts = evals.filter(({ sample }) => sample !== "");
  if (answered.length === 0) return texts.map(sampleItem).reverse().join("\n");
  const free =
    texts.length === 0
      ? ""
      : `<details><summary>Other texts</summary>${texts.map(sampleItem).reverse().join("\n")}</details>`;
  return (
    answered
      .at(-1)!
      .samples!.map((_, place) => promptItem(answered, place))
      .join("\n") + free
  );
}

function sampleItem({ step, loss, sample }: EvalRecord): string {
  const held = Number.isFinite(loss) ? `, held-out loss ${loss.toFixed(4)}` : "";
  return `<div class="sample"><h3>${whenText(step)}${held}</h3>${text(sample)}</div>`;
}

/** A prompt with its answers: the last, the first, those between to be opened, and what the data have. */
function promptItem(evals: readonly EvalRecord[], place: number): string {
  const answers = evals.flatMap(({ step, samples }) => {
    const sample = samples?.[place];
    return sample === undefined ? [] : [{ step, sample }];
  });
  const last = answers.at(-1)!;
  const [first, ...between] = answers.slice(0, -1);
  const { reference, messages } = last.sample;
  const isChat = messages !== undefined;
  const answer = (when: string, written: string): string =>
    `<div class="${isChat ? "bubble" : "answer"}"><h3>${when}</h3>${text(written)}</div>`;
  const of = ({ step, sample }: (typeof answers)[number]): string => answer(whenText(step), sample.text);
  return [
    `<div class="sample">${promptText(last.sample)}`,
    of(last),
    ...(first === undefined ? [] : [of(first)]),
    ...(between.length === 0 ? [] : [opened("Answers between", between.reverse().map(of).join(""))]),
    ...(reference === undefined ? [] : [opened("In the data", answer("In the data", reference))]),
    "</div>",
  ].join("");
}

function promptText({ prompt, messages }: HeldOutSample): string {
  if (messages === undefined) return `<div class="prompt">${text(prompt ?? "")}</div>`;
  const turn = ({ role, content }: { role: string; content: string }): string =>
    `<div class="bubble asked"><h3>${escapeHtml(role)}</h3>${text(content)}</div>`;
  return messages.map(turn).join("");
}

function opened(summary: string, content: string): string {
  return `<details><summary>${summary}</summary>${content}</details>`;
}

function whenText(step: number): string {
  return step === 0 ? "Before training" : `Step ${step}`;
}

function text(content: string): string {
  return `<pre>${escapeHtml(content.trim())}</pre>`;
}
