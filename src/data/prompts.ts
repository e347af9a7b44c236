import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { Conversation } from "../chats/chat-rendering.js";
import { type DataRecord, describePlace } from "./records.js";

/** The question of a record: a text to continue, or a conversation in which the assistant speaks next. */
export type Prompt = string | Conversation;

/**
 * The prompt of a record, without its answer.
 * @param asChat true to ask in a conversation wherever the record allows it. Default null: as training reads it, where
 * a question is a conversation if there is a template.
 * @throws DataError if the record asks nothing, or cannot be asked so.
 */
export function promptOf(
  record: DataRecord,
  { asChat, hasTemplate }: { readonly asChat: boolean | null; readonly hasTemplate: boolean },
): Prompt {
  const fault = (text: string): DataError => new DataError(`${describePlace(record.place)}: ${text}`);
  switch (record.kind) {
    case "token rows":
      throw fault('has "input_ids" and no prompt; name data with prompts or messages');
    case "text":
      return asChat === true ? asked(record.text) : record.text;
    case "prompt-completion":
      return asChat === true ? asked(record.prompt) : record.prompt;
    case "instruction":
      return asChat === true ? withoutAnswer(record.conversation) : record.prompt;
    case "question-answer":
      return (asChat ?? hasTemplate) ? withoutAnswer(record.conversation) : record.prompt;
    case "messages":
    case "prompt-completion messages": {
      if (asChat === false) throw fault(`has messages, which are a chat; leave out ${optionName("chat", false)}`);
      const { conversation } = record;
      const { messages } =
        record.kind === "messages"
          ? withoutAnswer(conversation)
          : { messages: conversation.messages.slice(0, record.promptMessages) };
      if (messages.length === 0) throw fault("has an answer and nothing before it; add the message that it answers");
      return { ...conversation, messages };
    }
  }
}

function asked(text: string): Conversation {
  return { messages: [{ role: "user", content: text }] };
}

/** Up to the assistant's last turn, if that is the end. */
function withoutAnswer(conversation: Conversation): Conversation {
  const { messages } = conversation;
  return messages.at(-1)?.role === "assistant" ? { ...conversation, messages: messages.slice(0, -1) } : conversation;
}
