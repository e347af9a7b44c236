import { sha256 } from "#platform";
import type { ChatMessage } from "./chat-messages.js";

/**
 * Where the turns of published templates begin and end, if not where other templates' do: as the training templates of
 * TRL mark them. https://huggingface.co/docs/trl/chat_templates
 */
export interface TurnStyle {
  /** Text before the assistant's words in its turn. Default: the generation prompt. */
  readonly cue?: string;
  /** End of a turn that ends at `end` by the template. */
  readonly end?: (text: string, end: number) => number;
  /** Text to follow the conversation's last turn, for templates that end no turn. */
  readonly closing?: (message: ChatMessage) => string;
}

/** Generation prompts that are scored with the turn: those of DeepSeek and of gpt-oss. */
export const SCORED_CUES: readonly string[] = ["<｜Assistant｜>", "<|start|>assistant"];

/** A turn of GLM ends with the role of the next one: with this the model stops. */
const GLM_ROLE = /^<\|(user|observation|system)\|>/;
const GLM: TurnStyle = {
  cue: "<|assistant|>",
  end: (text, end) => end + (GLM_ROLE.exec(text.slice(end, end + 20))?.[0].length ?? 0),
  closing: ({ tool_calls }) => (tool_calls ? "<|observation|>" : "<|user|>"),
};

/** By the SHA-256 of the template. TRL knows them by their text as well. */
const STYLES: ReadonlyMap<string, TurnStyle> = new Map([
  // Qwen 2.5: the line break behind the role is scored.
  ["cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f", { cue: "<|im_start|>assistant" }],
  // LLaVA-NeXT: the space behind the end of the turn is not.
  [
    "2c17243a977fd0643fb549a509a8e2684f45517df0f9f608d5893b719f16569f",
    { end: (text: string, end: number) => text.slice(0, end).trimEnd().length },
  ],
]);

export function turnStyleOf(template: string): TurnStyle {
  if (template.startsWith("[gMASK]<sop>")) return GLM;
  return STYLES.get(sha256([new TextEncoder().encode(template)])) ?? {};
}
