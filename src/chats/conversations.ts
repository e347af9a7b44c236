import { DataError } from "../base/errors.js";
import { isObject, shownValue } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { parsePythonJson, plainNumbers } from "../python/json.js";
import type { ChatMessage, Conversation } from "./chat-rendering.js";

type Fields = Readonly<Record<string, unknown>>;

/** Keys that a conversation may have beside its messages. */
export const CONVERSATION_KEYS: readonly string[] = ["system", "tools", "chat_template_kwargs"];

/** Roles of ShareGPT's `from`, as axolotl and LLaMA-Factory understand them. */
const SHAREGPT_ROLES: Readonly<Record<string, string>> = {
  ...{ human: "user", user: "user", gpt: "assistant", assistant: "assistant", model: "assistant" },
  ...{ system: "system", tool: "tool", observation: "tool", function_call: "assistant" },
};

/**
 * Keys of a message that say whether it is scored: OpenAI's `weight`, those that axolotl's `message_field_training`
 * names by custom, and ms-swift's `loss`.
 */
const SCORING_KEYS = ["weight", "train", "training", "train_on_turn", "loss"] as const;

/** Keys of a message that elsewhere say how much it counts, and here nothing. */
const UNREAD_KEYS: readonly string[] = [
  ...["mask", "loss_mask", "weights", "sample_weight", "loss_weight", "loss_weights"],
];

/** Those of the messages' keys that would say what is scored, if they were understood. */
export function unreadKeys(messages: readonly ChatMessage[]): Set<string> {
  return new Set(UNREAD_KEYS.filter((key) => messages.some((message) => isPresent(message[key]))));
}

/** Keys that say which parts of a message are scored (axolotl's `message_field_training_detail`). */
const PART_KEYS = ["train_detail", "training_detail"] as const;

/** Arguments of `apply_chat_template` that are no names of the template. */
const NOT_VARIABLES = new Set([
  ...["chat_template", "conversation", "add_generation_prompt", "continue_final_message", "tokenize", "padding"],
  ...["truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"],
  ...["tokenizer_kwargs", "messages"],
]);

/** Adds what stands beside the messages of a record. @throws DataError with its fault. */
export function withColumns(messages: readonly ChatMessage[], fields: Fields): Conversation {
  const { tools: toolsByName, documents, ...templateVariables } = readVariables(fields);
  const tools = toolsByName === undefined ? readTools(fields.tools) : readTools(toolsByName);
  if (documents !== undefined && documents !== null && !Array.isArray(documents)) {
    throw new DataError(`"documents" in "chat_template_kwargs" must be a list, got ${shownValue(documents)}`);
  }
  return {
    messages: withSystem(messages, fields.system),
    ...(tools !== undefined && { tools }),
    ...(Array.isArray(documents) && { documents }),
    ...(Object.keys(templateVariables).length > 0 && { templateVariables }),
  };
}

/**
 * Whether each message is scored, as far as the data say; undefined where they say nothing of any.
 * @throws DataError for other values than 0 and 1, false and true, and where another role than the assistant's is to be
 * scored.
 */
export function scoredMessages(messages: readonly ChatMessage[]): readonly boolean[] | undefined {
  const marks = messages.map((message, index) => {
    const parts = PART_KEYS.find((key) => isPresent(message[key]));
    if (parts !== undefined) {
      throw new DataError(
        `message ${index + 1}: "${parts}" is not known; ` +
          "write the conversation as input_ids with labels, or leave it out",
      );
    }
    const marked = SCORING_KEYS.filter((key) => isPresent(message[key]));
    const values = marked.map((key) => readMark(message[key], key, index));
    if (new Set(values).size > 1) {
      throw new DataError(`message ${index + 1}: ${marked.join(" and ")} contradict one another; leave one out`);
    }
    if (values[0] === true && message.role !== "assistant") {
      throw new DataError(
        `message ${index + 1}: "${marked[0]}" must not be 1 for the role ${shownValue(message.role)}; ` +
          `only the assistant's messages are scored, or all of them (${optionName("trainOnInputs", true)})`,
      );
    }
    return values[0];
  });
  return marks.includes(false) ? marks.map((mark) => mark ?? true) : undefined;
}

/** The value of a key, parsed if it is JSON in a text. @throws DataError if the text is not JSON. */
function parsed(value: unknown, key: string): unknown {
  if (typeof value !== "string") return value;
  try {
    return value.trim() === "" ? undefined : parsePythonJson(value);
  } catch (cause) {
    throw new DataError(`"${key}" is a text, but not JSON (${(cause as Error).message}), got ${shownValue(value)}`, {
      cause,
    });
  }
}

/**
 * Reads the messages under a key of a record: with `role` and `content`, or ShareGPT's with `from` and `value`. JSON in
 * a text is parsed where a list or an object must stand.
 * @throws DataError with the fault of the record.
 */
export function readMessages(fields: Fields, key: string): ChatMessage[] {
  const messages = parsed(fields[key], key);
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new DataError(`"${key}" must be a list of at least one message, got ${shownValue(fields[key])}`);
  }
  return messages.map(readMessage);
}

function readMessage(value: unknown, index: number): ChatMessage {
  const message = isObject(value) && "from" in value && !("role" in value) ? fromShareGpt(value, index) : value;
  const { role, content, tool_calls } = (message ?? {}) as Record<string, unknown>;
  if (typeof role !== "string") {
    throw new DataError(`message ${index + 1} must be an object with a text "role", got ${shownValue(value)}`);
  }
  if (typeof content !== "string" && isPresent(content) && !Array.isArray(content)) {
    throw new DataError(
      `message ${index + 1}: "content" must be a text or a list of parts, got ${shownValue(content)}`,
    );
  }
  if (typeof tool_calls !== "string") return message as ChatMessage;
  return { ...(message as ChatMessage), tool_calls: parsed(tool_calls, "tool_calls") ?? null };
}

function fromShareGpt({ from, value, ...rest }: Fields, index: number): Record<string, unknown> {
  const role = typeof from === "string" ? SHAREGPT_ROLES[from] : undefined;
  if (role === undefined) {
    const known = Object.keys(SHAREGPT_ROLES).join(", ");
    throw new DataError(`message ${index + 1}: "from" must be one of ${known}, got ${shownValue(from)}`);
  }
  if (from !== "function_call") return { role, ...(value !== undefined && { content: value }), ...rest };
  const calls = parsed(value, "value");
  const functions = Array.isArray(calls) ? calls : [calls];
  if (!functions.every((call) => isObject(call) && typeof call.name === "string")) {
    throw new DataError(
      `message ${index + 1}: a function_call must be JSON with "name" and "arguments", got ${shownValue(value)}`,
    );
  }
  return { role, content: "", tool_calls: functions.map((call) => ({ type: "function", function: call })), ...rest };
}

function readTools(value: unknown): readonly unknown[] | undefined {
  const tools = parsed(value, "tools");
  if (!isPresent(tools)) return undefined;
  if (Array.isArray(tools)) return tools;
  throw new DataError(`"tools" must be a list, got ${shownValue(value)}`);
}

function readVariables({ chat_template_kwargs: value }: Fields): Record<string, unknown> {
  const variables = parsed(value, "chat_template_kwargs") ?? {};
  if (!isObject(variables)) {
    throw new DataError(`"chat_template_kwargs" must be an object, got ${shownValue(value)}`);
  }
  const argument = Object.keys(variables).find((name) => NOT_VARIABLES.has(name));
  if (argument === undefined) return variables;
  throw new DataError(`"chat_template_kwargs" must hold names of the template, got "${argument}"; leave it out`);
}

function withSystem(messages: readonly ChatMessage[], system: unknown): readonly ChatMessage[] {
  if (!isPresent(system) || system === "") return messages;
  if (typeof system !== "string") throw new DataError(`"system" must be a text, got ${shownValue(system)}`);
  const first = messages[0];
  if (first?.role !== "system") return [{ role: "system", content: system }, ...messages];
  if (first.content === system) return messages;
  throw new DataError('"system" must not differ from the first message, which is of the system; leave one out');
}

function readMark(value: unknown, key: string, index: number): boolean {
  const mark = plainNumbers(value);
  if (mark === 0 || mark === false) return false;
  if (mark === 1 || mark === true) return true;
  throw new DataError(`message ${index + 1}: "${key}" must be 0 or 1, got ${shownValue(value)}`);
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}
