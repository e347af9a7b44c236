import { DataError } from "../base/errors.js";
import { shownValue, withBigInts } from "../base/json.js";
import type { ChatMessage, Conversation } from "../chats/chat-rendering.js";
import { CONVERSATION_KEYS, readMessages, scoredMessages, withColumns } from "../chats/conversations.js";
import { plainNumbers } from "../python/json.js";
import { REFUSED_COLUMNS, requireHonoured, requireOneAnswer } from "./columns.js";
import { shownKeys } from "./jsonl-format.js";
import { readTokens, TOKEN_KEYS, type TokenLabels } from "./rows.js";

/** Location of a record: a line of a `.jsonl` file, a row of a table or a record of a list, from 1, or a document. */
export interface Place {
  readonly path: string;
  readonly unit: "line" | "row" | "record" | "document";
  readonly number: number;
}

/** Data that can be encoded as tokens. */
export type DataRecord = { readonly place: Place } & RecordContent;

export type RecordContent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "prompt-completion"; readonly prompt: string; readonly completion: string }
  | {
      readonly kind: "instruction";
      readonly prompt: string;
      readonly completion: string;
      /** The same for a chat template, with the record's `system` and `history`. */
      readonly conversation: Conversation;
    }
  | {
      readonly kind: "messages";
      readonly conversation: Conversation;
      /** For each message, false if the data say that it is not scored. */
      readonly scored?: readonly boolean[];
    }
  | {
      readonly kind: "prompt-completion messages";
      readonly conversation: Conversation;
      /** Number of its messages that are the prompt. */
      readonly promptMessages: number;
    }
  | { readonly kind: "token rows"; readonly tokens: TokenLabels };

/** Kind of a file, determined by the keys of its records. One file has one kind. */
export type DataKind = RecordContent["kind"];

/**
 * Version of the rules by which files become records. Version 1 knew fewer kinds, keys and names of files; a run that
 * began with it goes on with it.
 */
export type ReadingRules = 1 | 2;

export const NEWEST_RULES = 2 satisfies ReadingRules;

type Fields = Readonly<Record<string, unknown>>;

interface KindReader {
  readonly kind: DataKind;
  /** Keys that make a record one of this kind. */
  readonly keys: readonly string[];
  /** Keys that are read beside these. */
  readonly also: readonly string[];
  /** Tells kinds with the same keys apart. */
  isOne?(fields: Fields): boolean;
  read(fields: Fields): RecordContent;
}

/** A record's kind is the first whose keys are all present. */
const KINDS: readonly KindReader[] = [
  {
    kind: "token rows",
    keys: ["input_ids"],
    also: TOKEN_KEYS,
    read: (fields) => ({ kind: "token rows", tokens: readTokens(fields) }),
  },
  { kind: "messages", keys: ["messages"], also: CONVERSATION_KEYS, read: (fields) => readChat(fields, "messages") },
  {
    kind: "messages",
    keys: ["conversations"],
    also: CONVERSATION_KEYS,
    read: (fields) => readChat(fields, "conversations"),
  },
  {
    kind: "prompt-completion messages",
    keys: ["prompt", "completion"],
    also: CONVERSATION_KEYS,
    isOne: hasMessages,
    read: readCompletion,
  },
  {
    kind: "prompt-completion",
    keys: ["prompt", "completion"],
    also: [],
    isOne: (fields) => !hasMessages(fields),
    read: (fields) => ({
      kind: "prompt-completion",
      prompt: textOf(fields, "prompt"),
      completion: textOf(fields, "completion"),
    }),
  },
  { kind: "instruction", keys: ["instruction", "output"], also: ["input", "system", "history"], read: readInstruction },
  { kind: "text", keys: ["text"], also: [], read: (fields) => ({ kind: "text", text: textOf(fields, "text") }) },
];

/** Columns that make a kind of data. */
export const KIND_COLUMNS: readonly string[] = [...new Set(KINDS.flatMap(({ keys }) => keys))];

/** Columns that some kind of data has, or that are refused; others are not read. */
export const DATA_COLUMNS: readonly string[] = [
  ...new Set([...KINDS.flatMap(({ keys, also }) => [...keys, ...also]), ...REFUSED_COLUMNS]),
];

/** True for records of messages, which a chat template renders. */
export function isChat(kind: DataKind): kind is "messages" | "prompt-completion messages" {
  return kind === "messages" || kind === "prompt-completion messages";
}

/** Keys that version 1 knew. */
const FIRST_KEYS: readonly string[] = [
  ...["text", "prompt", "completion", "messages", "tools", "instruction", "input", "output", "input_ids", "labels"],
];

/** Reads the records of one source; all must be of the kind of the first. */
export class RecordReader {
  readonly rules: ReadingRules;
  readonly #unused = new Set<string>();
  #reader: KindReader | undefined;
  #first = "";

  constructor(rules: ReadingRules = NEWEST_RULES) {
    this.rules = rules;
  }

  get kind(): DataKind | undefined {
    return this.#reader?.kind;
  }

  /** Keys that were found and not used. */
  get unused(): ReadonlySet<string> {
    return this.#unused;
  }

  /** @param path of the file that holds the record. @throws DataError with the fault of the record. */
  read(given: Fields, path: string): RecordContent {
    const fields = this.rules === 1 ? firstFields(given) : withoutNulls(given);
    if (this.rules > 1) requireOneAnswer(fields);
    const isOf = ({ keys, isOne }: KindReader) => keys.every((key) => key in fields) && isOne?.(fields) !== false;
    const found = KINDS.find(isOf);
    if (this.#reader === undefined) {
      this.#reader = found;
      this.#first = path;
    }
    if (this.#reader === undefined) {
      const ways = [...new Set(KINDS.map(({ keys }) => shownNames(keys)))];
      throw new DataError(`must have ${ways.join("; or ")}; the keys found are ${shownKeys(fields)}`);
    }
    const { keys, kind, also } = this.#reader;
    if (!isOf(this.#reader)) {
      const need = kind === "text" ? 'a string "text"' : shownNames(keys);
      const before = path === this.#first ? "those before are" : `those in ${this.#first} are`;
      const other =
        found === undefined ? "" : `; one source has one kind, this record is ${found.kind}, ${before} ${kind}`;
      throw new DataError(`must have ${need}; the keys found are ${shownKeys(fields)}${other}`);
    }
    if (this.rules > 1) requireHonoured(kind, fields);
    for (const key of Object.keys(fields)) if (!keys.includes(key) && !also.includes(key)) this.#unused.add(key);
    const content = this.#reader.read(fields);
    if (this.rules > 1 || content.kind !== "messages") return content;
    return { kind: "messages", conversation: content.conversation };
  }

  /** Notes keys that a file has and that are not read. */
  leaveOut(keys: readonly string[]): void {
    for (const key of keys) this.#unused.add(key);
  }
}

/**
 * Records of instructions, of which none stays if any has a `system` or a `history`: their prompt has no place for
 * them, so all are conversations then, as in LLaMA-Factory.
 */
export function asConversations(records: readonly DataRecord[]): readonly DataRecord[] {
  const hasContext = (record: DataRecord) => record.kind === "instruction" && record.conversation.messages.length > 2;
  if (!records.some(hasContext)) return records;
  return records.map((record) =>
    record.kind === "instruction"
      ? { place: record.place, kind: "messages", conversation: record.conversation }
      : record,
  );
}

/** `my.jsonl, line 3` */
export function describePlace({ path, unit, number }: Place): string {
  return `${path}, ${unit} ${number}`;
}

/** The text of a record, for training a tokenizer; undefined for rows of tokens. */
export function textOfRecord(record: RecordContent): string | undefined {
  switch (record.kind) {
    case "text":
      return record.text;
    case "prompt-completion":
    case "instruction":
      return record.prompt + record.completion;
    case "messages":
    case "prompt-completion messages":
      return record.conversation.messages
        .map(({ content }) => content)
        .filter((content) => typeof content === "string")
        .join("\n");
    case "token rows":
      return undefined;
  }
}

/** The text that identifies a record and decides on which side of a split it falls. */
export function identityOf(record: RecordContent): string {
  switch (record.kind) {
    case "text":
      return record.text;
    case "token rows":
      return `${record.tokens.ids}/${record.tokens.labels}`;
    case "messages":
      return JSON.stringify(record.conversation, withBigInts);
    case "prompt-completion messages":
      return JSON.stringify([record.promptMessages, record.conversation], withBigInts);
    default:
      return JSON.stringify([record.prompt, record.completion]);
  }
}

function firstFields(fields: Fields): Fields {
  return Object.fromEntries(FIRST_KEYS.filter((key) => key in fields).map((key) => [key, plainNumbers(fields[key])]));
}

function withoutNulls(fields: Fields): Fields {
  if (Object.values(fields).every((value) => value !== null)) return fields;
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

function hasMessages({ prompt, completion }: Fields): boolean {
  return Array.isArray(prompt) || Array.isArray(completion);
}

function shownNames(keys: readonly string[]): string {
  return keys.map((key) => JSON.stringify(key)).join(" and ");
}

function textOf(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value === "string") return value;
  throw new DataError(`"${key}" must be a string, got ${shownValue(value)}`);
}

/** Fills in the prompts of Stanford Alpaca (Taori et al. 2023), without and with an input. */
function readInstruction(fields: Fields): RecordContent {
  const [instruction, completion] = [textOf(fields, "instruction"), textOf(fields, "output")];
  const input = fields.input === undefined || fields.input === null ? "" : textOf(fields, "input");
  const task =
    input === ""
      ? "Below is an instruction that describes a task. Write a response that appropriately completes the request."
      : "Below is an instruction that describes a task, paired with an input that provides further context. " +
        "Write a response that appropriately completes the request.";
  const context = input === "" ? "" : `\n\n### Input:\n${input}`;
  const prompt = `${task}\n\n### Instruction:\n${instruction}${context}\n\n### Response:\n`;
  const request = [instruction, input].filter((part) => part !== "").join("\n");
  const turns = [...readHistory(fields.history), ...turn(request, completion)];
  return { kind: "instruction", prompt, completion, conversation: withColumns(turns, { system: fields.system }) };
}

function readHistory(history: unknown): ChatMessage[] {
  if (history === undefined || history === null || history === "") return [];
  const isTurn = (pair: unknown): pair is [string, string] =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string");
  if (Array.isArray(history) && history.every(isTurn)) return history.flatMap(([asked, told]) => turn(asked, told));
  throw new DataError(
    `"history" must be a list of pairs of texts, a question and its answer, got ${shownValue(history)}`,
  );
}

function turn(asked: string, told: string): ChatMessage[] {
  return [
    { role: "user", content: asked },
    { role: "assistant", content: told },
  ];
}

function readChat(fields: Fields, key: string): RecordContent {
  const conversation = withColumns(readMessages(fields, key), fields);
  // A system message in front comes from beside the messages, and is not scored anyway.
  const scored = scoredMessages(conversation.messages);
  return { kind: "messages", conversation, ...(scored !== undefined && { scored }) };
}

function readCompletion(fields: Fields): RecordContent {
  const [prompt, completion] = [readMessages(fields, "prompt"), readMessages(fields, "completion")];
  const conversation = withColumns([...prompt, ...completion], fields);
  if (scoredMessages(completion) !== undefined) {
    throw new DataError('a completion is scored whole; write the sample as "messages", of which some are not scored');
  }
  const promptMessages = conversation.messages.length - completion.length;
  return { kind: "prompt-completion messages", conversation, promptMessages };
}
