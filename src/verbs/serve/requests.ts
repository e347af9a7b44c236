import { isObject, shownValue } from "../../base/json.js";
import type { ChatMessage, Conversation } from "../../chats/chat-rendering.js";
import { ApiError } from "./api-error.js";
import type { Question } from "./messages.js";
import { isText, RequestFields, wrongValue } from "./request-fields.js";

/** Questions of a request, and the form of the answer. */
export interface AnswerRequest {
  /** The model by name; undefined for the first. */
  readonly model: string | undefined;
  /** One, or for completions one for each prompt. */
  readonly questions: readonly Omit<Question, "model">[];
  readonly isStreamed: boolean;
  /** True if a stream ends with the usage. */
  readonly includesUsage: boolean;
}

/** Tokens of a completion whose request names no number, as in OpenAI's API. */
const COMPLETION_TOKENS = 16;
/** Most prompts of a request. */
const MOST_PROMPTS = 64;
/** Most likeliest tokens that are told beside each token. */
const MOST_LIKELIEST = 20;
const MOST_STOPS = 16;

const isEmpty = (value: unknown): boolean =>
  (isObject(value) || Array.isArray(value)) && Object.keys(value).length === 0;
const is =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);

/** Parameters that would change the answer in a way that is not done, and the values that do not. */
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: is(1),
  frequency_penalty: is(0),
  presence_penalty: is(0),
  repetition_penalty: is(1),
  min_p: is(0),
  logit_bias: isEmpty,
};
const NEUTRAL_IN_CHATS: typeof NEUTRAL = {
  ...NEUTRAL,
  tools: isEmpty,
  tool_choice: is("none", "auto"),
  functions: isEmpty,
  function_call: is("none", "auto"),
  response_format: (value) => isObject(value) && value.type === "text",
  modalities: (value) => Array.isArray(value) && value.every(is("text")),
  audio: () => false,
  prediction: () => false,
  web_search_options: () => false,
  reasoning_effort: is("none"),
  verbosity: is("medium"),
};
const NEUTRAL_IN_COMPLETIONS: typeof NEUTRAL = { ...NEUTRAL, best_of: is(1), echo: is(false), suffix: is("") };

const KNOWN = ["model", "stream", "stream_options", "stop", "seed", "temperature", "top_p", "top_k", "max_tokens"];
/** Parameters that do not change the answer. */
const IGNORED = [
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "parallel_tool_calls",
];

/** A request to `/v1/chat/completions`. @throws ApiError naming the parameter that is wrong. */
export function chatRequest(body: unknown): AnswerRequest {
  const fields = new RequestFields(body);
  const own = ["messages", "max_completion_tokens", "logprobs", "top_logprobs", "chat_template_kwargs"];
  fields.requireKnown([...KNOWN, ...IGNORED, ...own], NEUTRAL_IN_CHATS);
  const templateVariables = fields.read("chat_template_kwargs", "an object", isObject);
  const messages = messagesOf(fields);
  const prompt: Conversation = { messages, ...(templateVariables !== undefined && { templateVariables }) };
  const isScored = fields.flag("logprobs");
  const count = fields.integer("top_logprobs", { min: 0, max: MOST_LIKELIEST });
  if (count !== undefined && !isScored) throw wrongValue("top_logprobs", "left out, or logprobs true", count);
  const [newer, older] = ["max_completion_tokens", "max_tokens"].map((name) => fields.integer(name, { min: 1 }));
  if (newer !== undefined && older !== undefined && newer !== older) {
    throw wrongValue("max_tokens", `left out, or max_completion_tokens (${newer}), which is its newer name`, older);
  }
  const maxNewTokens = newer ?? older;
  const question = { ...common(fields), prompt, maxNewTokens: maxNewTokens ?? null };
  return requestOf(fields, [{ ...question, likeliest: isScored ? (count ?? 0) : null }]);
}

/** A request to `/v1/completions`. @throws ApiError naming the parameter that is wrong. */
export function completionRequest(body: unknown): AnswerRequest {
  const fields = new RequestFields(body);
  fields.requireKnown([...KNOWN, ...IGNORED, "prompt", "logprobs"], NEUTRAL_IN_COMPLETIONS);
  const likeliest = fields.integer("logprobs", { min: 0, max: MOST_LIKELIEST }) ?? null;
  const maxNewTokens = fields.integer("max_tokens", { min: 1 }) ?? COMPLETION_TOKENS;
  const rules = { ...common(fields), maxNewTokens, likeliest };
  return requestOf(
    fields,
    promptsOf(fields).map((prompt) => ({ ...rules, prompt })),
  );
}

function requestOf(fields: RequestFields, questions: AnswerRequest["questions"]): AnswerRequest {
  const options = fields.read("stream_options", "an object", isObject);
  const isStreamed = fields.flag("stream");
  if (options !== undefined && !isStreamed) throw wrongValue("stream_options", "left out, or stream true", options);
  const includesUsage = options?.include_usage ?? false;
  if (typeof includesUsage !== "boolean") {
    throw wrongValue("stream_options.include_usage", "true or false", includesUsage);
  }
  return { model: fields.text("model"), questions, isStreamed, includesUsage };
}

function common(fields: RequestFields): Pick<Question, "temperature" | "topP" | "topK" | "seed" | "stop"> {
  return {
    temperature: fields.number("temperature", { min: 0, max: 2 }) ?? 1,
    topP: fields.read("top_p", "a number above 0, up to 1", isShare) ?? 1,
    topK: fields.integer("top_k", { min: 1 }) ?? null,
    seed: fields.integer("seed", { min: Number.MIN_SAFE_INTEGER }) ?? Math.floor(Math.random() * 2 ** 32),
    stop: stopsOf(fields),
  };
}

function stopsOf(fields: RequestFields): string[] {
  const isStop = (value: unknown): value is string => isText(value) && value !== "";
  const must = `a text, or up to ${MOST_STOPS} of them, none of which is empty`;
  const stop = fields.read("stop", must, (value): value is string | string[] =>
    Array.isArray(value) ? value.length <= MOST_STOPS && value.every(isStop) : isStop(value),
  );
  return typeof stop === "string" ? [stop] : (stop ?? []);
}

function messagesOf(fields: RequestFields): ChatMessage[] {
  const must = "a list of at least one message";
  const given = fields.read("messages", must, (value): value is unknown[] => Array.isArray(value) && value.length > 0);
  if (given === undefined) throw wrongValue("messages", must, undefined);
  return given.map((value, index): ChatMessage => {
    const fault = messageFault(value);
    if (fault !== null) throw ApiError.of(400, "invalid_value", `messages[${index}]${fault}`, "messages");
    const message = value as ChatMessage;
    // Of newer clients; templates know the older name.
    return message.role === "developer" ? { ...message, role: "system" } : message;
  });
}

const ROLES: readonly unknown[] = ["system", "developer", "user", "assistant", "tool"];

/** The fault of a message, from the name of its part on; null if it has none. */
function messageFault(message: unknown): string | null {
  if (!isObject(message)) return `: must be an object with a role and a content, got ${shownValue(message)}`;
  const { role, content } = message;
  if (!ROLES.includes(role)) return `.role: must be one of ${ROLES.join(", ")}, got ${shownValue(role)}`;
  if (isText(content)) return null;
  if (!Array.isArray(content)) return `.content: must be a text or a list of parts, got ${shownValue(content)}`;
  const at = content.findIndex((part) => !isObject(part) || part.type !== "text" || !isText(part.text));
  if (at < 0) return null;
  const part: unknown = content[at];
  const isOther = isObject(part) && isText(part.type) && part.type !== "text";
  const fault = isOther
    ? `a part of type ${shownValue(part.type)} is not supported; leave it out`
    : `must be a part of type text with a text, got ${shownValue(part)}`;
  return `.content[${at}]: ${fault}`;
}

type CompletionPrompt = string | readonly number[];

function promptsOf(fields: RequestFields): CompletionPrompt[] {
  const must = `a text, token ids, or a list of 1 to ${MOST_PROMPTS} of these`;
  const isPrompt = (value: unknown): value is CompletionPrompt => isText(value) || isTokens(value);
  const prompt = fields.read("prompt", must, (value): value is CompletionPrompt | CompletionPrompt[] => {
    if (isPrompt(value)) return true;
    return Array.isArray(value) && value.length > 0 && value.length <= MOST_PROMPTS && value.every(isPrompt);
  });
  if (prompt === undefined) throw wrongValue("prompt", must, undefined);
  return isPrompt(prompt) ? [prompt] : prompt;
}

function isTokens(value: unknown): value is readonly number[] {
  const isToken = (id: unknown): boolean => Number.isSafeInteger(id) && (id as number) >= 0;
  return Array.isArray(value) && value.length > 0 && value.every(isToken);
}

function isShare(value: unknown): value is number {
  return typeof value === "number" && value > 0 && value <= 1;
}
