import { DataError } from "../base/errors.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { ChatProcesses } from "./chat-processes.js";
import { ChatTemplate, today } from "./chat-template.js";

/** Content that no template rewrites. */
const REPLY = "reply";

const PROBE = {
  messages: [
    { role: "user", content: "question" },
    { role: "assistant", content: REPLY },
  ],
};

/**
 * The token with which the tokenizer's chat template ends a turn of the assistant, such as `<|im_end|>`; undefined
 * without a template, or if it writes none.
 * @param processes that render. Default: processes of this call.
 * @throws CheckpointError for a template that is none.
 */
export async function findTurnEnd(tokenizer: Tokenizer, processes?: ChatProcesses): Promise<number | undefined> {
  const template = ChatTemplate.of(tokenizer);
  if (template === null) return undefined;
  let text: string | undefined;
  try {
    const [answer] = await template.renderAll([PROBE], "plain", today(), processes);
    text = answer !== undefined && "text" in answer ? answer.text : undefined;
  } catch (error) {
    // The conversations themselves will tell what is wrong with the template.
    if (!(error instanceof DataError)) throw error;
  }
  if (text === undefined || !text.includes(REPLY)) return undefined;
  return tokenizer.addedTokenAt(text.slice(text.lastIndexOf(REPLY) + REPLY.length).trimStart());
}
