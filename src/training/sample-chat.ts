import { ChatTemplate } from "../chats/chat-template.js";
import type { Settings } from "../config/settings.js";
import { isChat } from "../data/records.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { DataSummary } from "./token-cache.js";

/** A question, and the tokens of its chat up to the answer. */
export interface SampleChat {
  readonly question: string;
  readonly ids: readonly number[];
  /** Tokens that end the answer, beside those that end a text. */
  readonly endIds: readonly number[];
}

/** Longest prompt that is shown as an example. */
const SHOWN_PROMPT = 80;

/** A prompt for the finished model, such as its data have. */
export interface ExamplePrompt {
  readonly prompt: string;
  readonly isChat: boolean;
}

/** A prompt of the data that fits a line: that of the first held-out sample, or the beginning of its text. */
export function exampleOf({ first: record }: DataSummary, chat: SampleChat | null): ExamplePrompt {
  const words =
    "prompt" in record ? record.prompt : record.kind === "text" ? record.text.split(/\s+/, 3).join(" ") : "";
  const prompt = (chat?.question ?? words).trim();
  const isShown = prompt !== "" && prompt.length <= SHOWN_PROMPT && !prompt.includes("\n");
  return { prompt: isShown ? prompt : chat === null ? "The" : "Hello!", isChat: chat !== null };
}

/**
 * The chat that samples of text answer: `samplePrompt`, or the first question that is held out, as the template writes
 * it. Null for data that are no chats, and for a chat that leaves no room for an answer.
 */
export async function sampleChatOf(
  { kind, first: record }: DataSummary,
  tokenizer: Tokenizer | null,
  { samplePrompt, sampleTokens, chatDate }: Settings,
  context: number,
  turnEnd: number | undefined,
): Promise<SampleChat | null> {
  const template = tokenizer !== null && isChat(kind) && sampleTokens > 0 ? ChatTemplate.of(tokenizer) : null;
  if (template === null) return null;
  if (!("conversation" in record)) return null;
  const { conversation } = record;
  const answer = conversation.messages.findLastIndex(({ role }) => role === "assistant");
  const messages =
    samplePrompt === "" ? conversation.messages.slice(0, answer) : [{ role: "user", content: samplePrompt }];
  const question = messages.at(-1)?.content;
  if (typeof question !== "string") return null;
  const [rendered] = await template.renderAll([{ ...conversation, messages }], "prompt", chatDate);
  if (rendered === undefined || !("text" in rendered)) return null;
  const ids = tokenizer!.encode(rendered.text);
  if (ids.length + sampleTokens > context) return null;
  return { question, ids, endIds: turnEnd === undefined ? [] : [turnEnd] };
}
