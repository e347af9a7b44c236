import { DataError } from "../base/errors.js";
import { isObject, shownValue } from "../base/json.js";

/** One turn of a conversation: `role`, `content`, and other keys that its template reads. */
export type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string };

/** Names of what the assistant thought, the one that counts first. */
const REASONING_KEYS = ["reasoning_content", "thinking", "reasoning"] as const;

/** Parts that are no text. A text model would be trained on the sign that stands for them. */
const OTHER_MEDIA = /^(image|audio|video)/;

/**
 * Messages as transformers hands them to a template: without the keys whose value is null, and with what the assistant
 * thought under both names that templates read, whichever name it came under.
 * @throws DataError for a part that is no text.
 */
export function templateMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message, index) => {
    requireText(message.content, index);
    const stated = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null));
    const key = REASONING_KEYS.find((name) => stated[name] !== undefined);
    if (key === undefined) return stated as ChatMessage;
    return { thinking: stated[key], ...stated, reasoning_content: stated[key] } as unknown as ChatMessage;
  });
}

/** True if the content of a message is a list of parts. */
export function hasParts(messages: readonly ChatMessage[]): boolean {
  return messages.some(({ content }) => Array.isArray(content));
}

/** The same messages with the texts of their parts joined, for templates that know no parts. @throws DataError */
export function joinedParts(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message, index) => {
    if (!Array.isArray(message.content)) return message;
    const texts = message.content.map((part: unknown) => {
      const text = isObject(part) ? part.text : part;
      if (typeof text === "string") return text;
      throw new DataError(
        `message ${index + 1}: the chat template takes no parts, so each part must be a text, got ${shownValue(part)}`,
      );
    });
    return { ...message, content: texts.join("") };
  });
}

function requireText(content: unknown, index: number): void {
  if (!Array.isArray(content)) return;
  for (const part of content) {
    if (!isObject(part) || typeof part.type !== "string" || !OTHER_MEDIA.test(part.type)) continue;
    throw new DataError(
      `message ${index + 1}: has a part of type ${JSON.stringify(part.type)}, and models are trained on text alone; ` +
        "leave such records out",
    );
  }
}
