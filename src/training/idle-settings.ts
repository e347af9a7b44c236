import type { OpenSettings } from "../config/derive.js";
import { SETTINGS } from "../config/settings.js";
import { isChat } from "../data/records.js";
import type { Quantizer } from "../quant/quantizer.js";
import type { DataSummary } from "./token-cache.js";

/** The model and the data, as far as they show whether settings do something. */
export interface IdleFacts {
  readonly quantizer: Quantizer | null;
  readonly summary: Pick<DataSummary, "kind" | "unit">;
}

/** Sentences about settings that change nothing, which only the model or the data show. */
export function idleNotices(
  { method, mergePolicy, document, chatDate, trainOnInputs }: OpenSettings,
  { quantizer, summary: { kind, unit } }: IdleFacts,
): string[] {
  const idle = [
    [
      method !== "full" && quantizer === null && mergePolicy !== SETTINGS.mergePolicy.default,
      `mergePolicy ${mergePolicy} is for quantized weights, and these are in float32`,
    ],
    [document !== null && unit !== document, `document ${document} is for files of text`],
    [chatDate !== null && !isChat(kind), "chatDate is for chats"],
    [trainOnInputs && kind === "text", "trainOnInputs is for prompts and chats"],
  ] as const;
  return idle.flatMap(([isIdle, words]) => (isIdle ? [`${words}; it changes nothing here.`] : []));
}
