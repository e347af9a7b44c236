import { DataError } from "../base/errors.js";
import { isObject, shownValue, withBigInts } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { suggest } from "../base/suggest.js";
import type { ChatMessage, Conversation } from "../chats/chat-rendering.js";
import { CONVERSATION_KEYS, readMessages, scoredMessages, unreadKeys, withColumns } from "../chats/conversations.js";
import { plainNumbers } from "../python/json.js";
import { type ColumnRoles, columnsOption, REFUSED_COLUMNS, requireHonoured, requireOneAnswer } from "./columns.js";
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
      readonly kind: "instruction" | "question-answer";
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
 * Version of the rules by which files become records, and these batches. Version 1 knew fewer kinds, keys and names of
 * files; up to version 2 samples had padded rows unless packing said otherwise, and up to version 3 a dataset card
 * could name files that are not there, and up to version 4 a folder's files could have several formats. A run goes on
 * with those that it began with.
 */
export type ReadingRules = 1 | 2 | 3 | 4 | 5;

export const NEWEST_RULES = 5 satisfies ReadingRules;

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

/** The answer that goes with a question, where a record has none that is known. */
const OWN_ANSWERS: Readonly<Record<string, string>> = { prompt: "completion", instruction: "output" };

/** Names that people give to the columns of a question and of its answer, the surer ones first. */
const QUESTION_NAMES = ["question", "query", "prompt", "input", "instruction"] as const;
const ANSWER_NAMES = ["answer", "response", "completion", "output"] as const;

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
  // Where both stand there, the others are more than a question and an answer.
  ...QUESTION_NAMES.flatMap((question) => ANSWER_NAMES.map((answer) => questionKind(question, answer))),
  { kind: "text", keys: ["text"], also: [], read: (fields) => ({ kind: "text", text: textOf(fields, "text") }) },
];

/** The columns that `--columns prompt=…,completion=…` names are a question and its answer. */
const NAMED_KINDS: readonly KindReader[] = [
  { ...questionKind("prompt", "completion"), isOne: (fields) => !hasMessages(fields) },
  ...KINDS,
];

/** Columns that make a kind of data. */
export const KIND_COLUMNS: readonly string[] = [...new Set(KINDS.flatMap(({ keys }) => keys))];

/** Columns that some kind of data has, or that are refused; others are not read. */
export const DATA_COLUMNS: readonly string[] = [
  ...new Set([...KINDS.flatMap(({ keys, also }) => [...keys, ...also]), ...REFUSED_COLUMNS]),
];

/** Names that `--columns` gives to columns. */
export const COLUMN_ROLES: readonly string[] = [...new Set(KINDS.flatMap(({ keys, also }) => [...keys, ...also]))];

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
  readonly columns: ColumnRoles;
  readonly #isAsking: boolean;
  readonly #unused = new Set<string>();
  /** Columns that a record had, of those that have been given a role. */
  readonly #seen = new Set<string>();
  #reader: KindReader | undefined;
  #first = "";
  #firstRecord: Fields = {};

  /**
   * @param columns the column of each role that is not known by its own name.
   * @param isAsking true if records may ask without an answer, which is empty then.
   */
  constructor(rules: ReadingRules = NEWEST_RULES, columns: ColumnRoles = new Map(), isAsking = false) {
    this.rules = rules;
    this.columns = columns;
    this.#isAsking = isAsking;
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
    for (const column of this.columns.values()) if (column in given) this.#seen.add(column);
    const named = this.#byRole(this.rules === 1 ? firstFields(given) : withoutNulls(given));
    const fields = this.#isAsking ? withAnswer(named) : named;
    if (this.rules > 1 && !this.#isAsking) requireOneAnswer(fields);
    const isOf = ({ keys, isOne }: KindReader) => keys.every((key) => key in fields) && isOne?.(fields) !== false;
    const found = this.#kindOf(isOf);
    if (this.#reader === undefined) {
      this.#reader = found;
      this.#first = path;
      this.#firstRecord = given;
    }
    if (this.#reader === undefined) throw new DataError(this.#unknownKind(given));
    const { keys, kind, also } = this.#reader;
    if (!isOf(this.#reader)) {
      const need = kind === "text" && this.columns.size === 0 ? 'a string "text"' : shownNames(this.#columnsOf(keys));
      const before = path === this.#first ? "those before are" : `those in ${this.#first} are`;
      const other =
        found === undefined || found.kind === kind
          ? ""
          : `; one source has one kind, this record is ${found.kind}, ${before} ${kind}`;
      throw new DataError(`must have ${need}; the keys found are ${shownKeys(fields)}${other}`);
    }
    if (this.rules > (kind === "text" ? 2 : 1)) requireHonoured(kind, fields);
    for (const key of Object.keys(fields)) {
      if (!keys.includes(key) && !also.includes(key)) this.#unused.add(this.columns.get(key) ?? key);
    }
    const content = this.#readAs(this.#reader, fields);
    const messages = "conversation" in content ? content.conversation.messages : [];
    for (const key of unreadKeys(messages)) this.#unused.add(`${key} of messages`);
    if (this.rules > 1 || content.kind !== "messages") return content;
    return { kind: "messages", conversation: content.conversation };
  }

  /** Notes keys that a file has and that are not read. */
  leaveOut(keys: readonly string[]): void {
    for (const key of keys) this.#unused.add(key);
  }

  /** @throws DataError for a column with a role that no record had. */
  requireAllSeen(): void {
    const missing = [...this.columns].find(([, column]) => !this.#seen.has(column));
    if (missing === undefined) return;
    const [role, column] = missing;
    throw new DataError(
      `${optionName("columns")}: no record has "${column}", named by ${role}=${column}; ` +
        `the keys of the first are ${shownKeys(this.#firstRecord)}${nearest(column, Object.keys(this.#firstRecord))}`,
    );
  }

  /** The record with each column under the name of its role. */
  #byRole(given: Fields): Fields {
    if (this.columns.size === 0) return given;
    const named = new Set(this.columns.values());
    const fields: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(given)) {
      if (named.has(key)) continue;
      if (this.columns.has(key)) this.#unused.add(key);
      else fields[key] = value;
    }
    for (const [role, column] of this.columns) if (column in given) fields[role] = given[column];
    return fields;
  }

  /** The kind of a record; columns with a role go before others. */
  #kindOf(isOf: (reader: KindReader) => boolean): KindReader | undefined {
    if (this.columns.size === 0) return KINDS.find(isOf);
    const isNamed = ({ keys }: KindReader) => keys.every((key) => this.columns.has(key));
    return NAMED_KINDS.find((reader) => isNamed(reader) && isOf(reader)) ?? NAMED_KINDS.find(isOf);
  }

  #columnsOf(keys: readonly string[]): readonly string[] {
    return keys.map((key) => this.columns.get(key) ?? key);
  }

  #readAs(reader: KindReader, fields: Fields): RecordContent {
    if (this.columns.size === 0) return reader.read(fields);
    try {
      return reader.read(fields);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      const roles = [...this.columns].map(([role, column]) => `${role}=${column}`);
      throw new DataError(`${error.text} (with ${columnsOption(roles)})`, { cause: error });
    }
  }

  #unknownKind(given: Fields): string {
    const keys = Object.keys(given);
    const found = `the keys found are ${shownKeys(given)}`;
    const missing = [...this.columns.values()].find((column) => !(column in given));
    if (missing !== undefined)
      return `must have "${missing}", named by ${optionName("columns")}; ${found}${nearest(missing, keys)}`;
    if (this.#isAsking) {
      return (
        `must have ${QUESTION_NAMES.map((name) => JSON.stringify(name)).join(", ")}, "messages" or "text"; ${found}; ` +
        `say which it is: ${columnsOption(["prompt=KEY"])}`
      );
    }
    const others = KINDS.filter(({ kind }) => kind !== "question-answer");
    const ways = [...new Set(others.map((kind) => shownNames(kind.keys)))];
    return (
      `must have ${ways.join("; or ")}; or "question" and "answer" or the like; ${found}; ` +
      `say which is which: ${columnsFor(keys)}`
    );
  }
}

/** A call that gives the columns their roles, as far as their names differ only in case from those of a kind. */
function columnsFor(keys: readonly string[]): string {
  const find = (role: string): string | undefined => keys.find((key) => key.toLowerCase() === role);
  const kind = KINDS.find((each) => each.keys.every((key) => find(key) !== undefined));
  if (kind === undefined) return `${columnsOption(["prompt=KEY", "completion=KEY"])} or ${columnsOption(["text=KEY"])}`;
  const roles = kind.kind === "question-answer" ? ["prompt", "completion"] : kind.keys;
  return columnsOption(kind.keys.map((key, index) => `${roles[index]}=${find(key)}`));
}

function nearest(name: string, names: readonly string[]): string {
  const near = suggest(name, names);
  return near === undefined ? "" : `; did you mean "${near}"?`;
}

/** True for an instruction with a `system` or a `history`, for which its prompt has no place. */
export function hasContext(record: DataRecord): boolean {
  return record.kind === "instruction" && record.conversation.messages.length > 2;
}

/** An instruction as the conversation that it is: all are, where one has a context, as in LLaMA-Factory. */
export function asConversation(record: DataRecord): DataRecord {
  if (record.kind !== "instruction") return record;
  return { place: record.place, kind: "messages", conversation: record.conversation };
}

/** `my.jsonl, line 3` */
export function describePlace({ path, unit, number }: Place): string {
  return `${path}, ${unit} ${number}`;
}

/** A question as a model takes it: a conversation where its tokenizer has a chat template, else a text. */
export function asAsked(record: DataRecord, hasTemplate: boolean): DataRecord {
  if (record.kind !== "question-answer") return record;
  const { place, prompt, completion, conversation } = record;
  return hasTemplate
    ? { place, kind: "messages", conversation }
    : { place, kind: "prompt-completion", prompt, completion };
}

/** The text of a record, for training a tokenizer; undefined for rows of tokens. */
export function textOfRecord(record: RecordContent): string | undefined {
  switch (record.kind) {
    case "text":
      return record.text;
    case "prompt-completion":
    case "instruction":
    case "question-answer":
      return record.prompt + record.completion;
    case "messages":
    case "prompt-completion messages":
      return record.conversation.messages
        .flatMap(({ content }) => {
          if (!Array.isArray(content)) return typeof content === "string" ? [content] : [];
          return [content.map((part: unknown) => (isObject(part) ? part.text : part)).join("")];
        })
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

/** A record that asks and does not answer, with an empty answer. */
function withAnswer(fields: Fields): Fields {
  const isWhole = KINDS.some(({ keys, isOne }) => keys.every((key) => key in fields) && isOne?.(fields) !== false);
  const question = QUESTION_NAMES.find((name) => name in fields);
  if (isWhole || question === undefined) return fields;
  const { prompt, ...others } = fields;
  if (Array.isArray(prompt)) return { ...others, messages: prompt };
  return { ...fields, [OWN_ANSWERS[question] ?? "answer"]: "" };
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

function optionalText(fields: Fields, key: string): string {
  return fields[key] === undefined || fields[key] === null ? "" : textOf(fields, key);
}

/** Records with a question and its answer under these keys. */
function questionKind(question: string, answer: string): KindReader {
  const input = question === "instruction" ? ["input"] : [];
  return {
    kind: "question-answer",
    keys: [question, answer],
    also: ["context", "system", "history", ...input],
    read: (fields) => readQuestion(fields, question, answer),
  };
}

/**
 * A question behind its context, and the answer. As a text, all that stands before the answer is parted by blank lines,
 * and the answer begins on a line of its own.
 */
function readQuestion(fields: Fields, question: string, answer: string): RecordContent {
  const [asked, completion] = [textOf(fields, question), textOf(fields, answer)];
  const input = question === "instruction" ? optionalText(fields, "input") : "";
  const joined = (parts: readonly string[], between: string) => parts.filter((part) => part !== "").join(between);
  const request = joined([optionalText(fields, "context"), joined([asked, input], "\n")], "\n\n");
  const turns = [...readHistory(fields.history), ...turn(request, completion)];
  const conversation = withColumns(turns, { system: fields.system });
  const before = conversation.messages.slice(0, -1).map(({ content }) => String(content));
  return { kind: "question-answer", prompt: `${joined(before, "\n\n")}\n`, completion, conversation };
}

/** Fills in the prompts of Stanford Alpaca (Taori et al. 2023), without and with an input. */
function readInstruction(fields: Fields): RecordContent {
  const [instruction, completion] = [textOf(fields, "instruction"), textOf(fields, "output")];
  const input = optionalText(fields, "input");
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
