import { DataError } from "../base/errors.js";
import { withBigInts } from "../base/json.js";
import type { Conversation } from "../chats/chat-rendering.js";
import { ChatTemplate } from "../chats/chat-template.js";
import type { Settings } from "../config/settings.js";
import type { Rows } from "../data/packing.js";
import { type Prompt, promptOf } from "../data/prompts.js";
import type { DataRecord } from "../data/records.js";
import type { HeldOutSample, ShownMessage } from "../runs/held-out-sample.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";

/** A prompt of the held-out data that the model answers at evaluations. */
export interface HeldOutPrompt {
  /** What is shown beside the answer. */
  readonly shown: Omit<HeldOutSample, "text">;
  readonly ids: readonly number[];
  /** Tokens that end the answer, beside those that end a text. */
  readonly endIds: readonly number[];
  /** True for the beginning of a text, which may go on in many ways; false for a question. */
  readonly isOpen: boolean;
}

/** Prompts at each evaluation. */
const PROMPTS = 3;
/** Longest prompt. */
const MOST_TOKENS = 256;
/** Longest beginning of a text, in UTF-16 units, and of one that is known by its tokens alone. */
const BEGINNING = 80;
const BEGINNING_TOKENS = 16;
/** Longest reference that is recorded, in UTF-16 units. */
const MOST_REFERENCE = 400;

export interface PromptSearch {
  readonly tokenizer: Tokenizer;
  readonly settings: Pick<Settings, "sampleTokens" | "chatDate">;
  /** The token that ends a turn of the assistant. */
  readonly turnEnd: number | undefined;
  /** Tokens that the model sees at most. */
  readonly context: number;
}

/**
 * The first held-out prompts that are short enough: the chats up to their answers, the prompts of records, the
 * beginnings of texts, or of rows where no whole record is held out.
 * @param records the first that are held out.
 */
export async function findHeldOutPrompts(
  records: readonly DataRecord[],
  rows: Rows,
  search: PromptSearch,
): Promise<HeldOutPrompt[]> {
  const { settings, context } = search;
  const { sampleTokens } = settings;
  if (sampleTokens === 0) return [];
  const found = records.length > 0 ? await promptsOfRecords(records, search) : promptsOfRows(rows, search);
  const longest = Math.min(MOST_TOKENS, context - sampleTokens);
  return found.filter(({ ids }) => ids.length > 0 && ids.length <= longest).slice(0, PROMPTS);
}

async function promptsOfRecords(records: readonly DataRecord[], search: PromptSearch): Promise<HeldOutPrompt[]> {
  const { tokenizer, settings, turnEnd } = search;
  const template = ChatTemplate.of(tokenizer);
  const asked = records.flatMap((record) => askedOf(record, template !== null));
  const chats = asked.flatMap(({ prompt }) => (typeof prompt === "string" ? [] : [prompt]));
  const rendered = template === null ? [] : await template.renderAll(chats, "prompt", settings.chatDate);
  const texts = new Map(chats.map((chat, index) => [chat, rendered[index]]));
  return asked.flatMap(({ prompt, reference, isOpen }): HeldOutPrompt[] => {
    if (typeof prompt === "string") {
      const ids = tokenizer.encodePrompt(prompt, tokenizer.findBeginOfText() ?? tokenizer.findEndOfText() ?? null);
      return [{ shown: { prompt, reference }, ids, endIds: [], isOpen }];
    }
    const answer = texts.get(prompt);
    if (answer === undefined || !("text" in answer)) return [];
    const shown = { messages: shownMessages(prompt), reference };
    return [{ shown, ids: tokenizer.encode(answer.text), endIds: turnEnd === undefined ? [] : [turnEnd], isOpen }];
  });
}

interface Asked {
  readonly prompt: Prompt;
  readonly reference: string;
  readonly isOpen: boolean;
}

/** The record's prompt and what follows it; nothing for a record that has no such part. */
function askedOf(record: DataRecord, hasTemplate: boolean): Asked[] {
  if (record.kind === "text") {
    const beginning = beginningOf(record.text);
    const reference = shortReference(record.text.slice(beginning.length));
    return beginning.trim() === "" ? [] : [{ prompt: beginning, reference, isOpen: true }];
  }
  try {
    const prompt = promptOf(record, { asChat: null, hasTemplate });
    return [{ prompt, reference: shortReference(referenceOf(record, prompt)), isOpen: false }];
  } catch (error) {
    if (error instanceof DataError) return [];
    throw error;
  }
}

function referenceOf(record: DataRecord, prompt: Prompt): string {
  if ("completion" in record) return record.completion;
  if (typeof prompt === "string" || !("conversation" in record)) return "";
  const { conversation } = record;
  const answers = shownMessages({ messages: conversation.messages.slice(prompt.messages.length) });
  return answers.map(({ content }) => content).join("\n");
}

/** The first words of a text, of a short one half of it. */
function beginningOf(text: string): string {
  const longest = Math.min(BEGINNING, Math.floor(text.length / 2));
  const words = /^.*\S(?=\s)/s.exec(text.slice(0, longest + 1))?.[0];
  // Without a space, as in Chinese, between any two characters.
  return words ?? text.slice(0, longest).replace(/[\ud800-\udbff]$/, "");
}

function promptsOfRows(rows: Rows, { tokenizer, settings }: PromptSearch): HeldOutPrompt[] {
  const places = Array.from({ length: PROMPTS }, (_, i) => Math.floor((i * rows.count) / PROMPTS));
  return [...new Set(places)].map((place) => {
    const { inputIds, lengths } = rows.batch([place], 1);
    const row = [...inputIds.subarray(0, lengths?.[0])];
    const ids = row.slice(0, Math.min(BEGINNING_TOKENS, Math.ceil(row.length / 2)));
    const reference = tokenizer.decode(row.slice(ids.length, ids.length + settings.sampleTokens));
    return { shown: { prompt: tokenizer.decode(ids), reference }, ids, endIds: [], isOpen: true };
  });
}

function shortReference(text: string): string {
  return text.length <= MOST_REFERENCE ? text : `${text.slice(0, MOST_REFERENCE).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** The messages with their texts alone. */
function shownMessages({ messages }: Pick<Conversation, "messages">): ShownMessage[] {
  return messages.map(({ role, content, tool_calls: calls }) => {
    const parts = Array.isArray(content) ? content.map((part) => textOfPart(part)).join("") : content;
    return { role, content: typeof parts === "string" ? parts : JSON.stringify(calls ?? content ?? null, withBigInts) };
  });
}

function textOfPart(part: unknown): string {
  const text = (part as { readonly text?: unknown } | null)?.text ?? part;
  return typeof text === "string" ? text : JSON.stringify(text, withBigInts);
}
