import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import type { ChatMessage, Conversation } from "./chat-rendering.js";
import { shownKeys } from "./jsonl-format.js";
import { readTokens, type TokenLabels } from "./rows.js";

/** Location of a record: a line of a `.jsonl` file or a row of a table, from 1, or a document of a text. */
export interface Place {
  readonly path: string;
  readonly unit: "line" | "row" | "document";
  readonly number: number;
}

/** Data that can be encoded as tokens. */
export type DataRecord = { readonly place: Place } & RecordContent;

export type RecordContent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "prompt-completion" | "instruction"; readonly prompt: string; readonly completion: string }
  | { readonly kind: "messages"; readonly conversation: Conversation }
  | { readonly kind: "token rows"; readonly tokens: TokenLabels };

/** Kind of a file, determined by the keys of its records. One file has one kind. */
export type DataKind = RecordContent["kind"];

type Fields = Readonly<Record<string, unknown>>;

interface KindReader {
  readonly kind: DataKind;
  /** Keys that make a record one of this kind. */
  readonly keys: readonly string[];
  read(fields: Fields): RecordContent;
}

/** A record's kind is the first whose keys are all present. */
const KINDS: readonly KindReader[] = [
  { kind: "token rows", keys: ["input_ids"], read: (fields) => ({ kind: "token rows", tokens: readTokens(fields) }) },
  { kind: "messages", keys: ["messages"], read: readMessages },
  {
    kind: "prompt-completion",
    keys: ["prompt", "completion"],
    read: (fields) => ({
      kind: "prompt-completion",
      prompt: textOf(fields, "prompt"),
      completion: textOf(fields, "completion"),
    }),
  },
  { kind: "instruction", keys: ["instruction", "output"], read: readInstruction },
  { kind: "text", keys: ["text"], read: (fields) => ({ kind: "text", text: textOf(fields, "text") }) },
];

/** Reads the records of one source; all must be of the kind of the first. */
export class RecordReader {
  #reader: KindReader | undefined;

  get kind(): DataKind | undefined {
    return this.#reader?.kind;
  }

  /** @throws DataError with the fault of the record. */
  read(fields: Fields): RecordContent {
    const found = KINDS.find(({ keys }) => keys.every((key) => key in fields));
    this.#reader ??= found;
    if (this.#reader === undefined) {
      const ways = KINDS.map(({ keys }) => shownNames(keys)).join("; or ");
      throw new DataError(`must have ${ways}; the keys found are ${shownKeys(fields)}`);
    }
    const { keys, kind, read } = this.#reader;
    if (!keys.every((key) => key in fields)) {
      const need = kind === "text" ? 'a string "text"' : shownNames(keys);
      const also =
        found === undefined ? "" : `; one source has one kind, this record is ${found.kind}, those before are ${kind}`;
      throw new DataError(`must have ${need}; the keys found are ${shownKeys(fields)}${also}`);
    }
    return read(fields);
  }
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
  if (record.kind === "text") return record.text;
  if (record.kind === "token rows") return `${record.tokens.ids}/${record.tokens.labels}`;
  if (record.kind === "messages") return JSON.stringify(record.conversation);
  return JSON.stringify([record.prompt, record.completion]);
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
  return { kind: "instruction", prompt, completion };
}

function readMessages({ messages, tools }: Fields): RecordContent {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new DataError(`"messages" must be a list of at least one message, got ${shownValue(messages)}`);
  }
  messages.forEach((message: unknown, index) => {
    const { role, content } = (message ?? {}) as Record<string, unknown>;
    if (typeof role !== "string") {
      throw new DataError(`message ${index + 1} must be an object with a text "role", got ${shownValue(message)}`);
    }
    if (typeof content === "string" || content === undefined || content === null || Array.isArray(content)) return;
    throw new DataError(
      `message ${index + 1}: "content" must be a text or a list of parts, got ${shownValue(content)}`,
    );
  });
  if (tools !== undefined && tools !== null && !Array.isArray(tools)) {
    throw new DataError(`"tools" must be a list, got ${shownValue(tools)}`);
  }
  const conversation = { messages: messages as ChatMessage[], ...(Array.isArray(tools) && { tools }) };
  return { kind: "messages", conversation };
}
