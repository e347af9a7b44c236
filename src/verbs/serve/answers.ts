import type { Ending, Piece, PieceScore, PieceToken } from "./messages.js";

/** A choice of a streamed or a whole answer: its number among the prompts, and what there is of it. */
export interface Choice extends Piece {
  readonly index: number;
  /** Why it ended; null while it goes on. */
  readonly finish: Ending["finish"] | null;
}

/** The two kinds of answers of OpenAI's API. */
export interface AnswerFormat {
  readonly idPrefix: string;
  readonly object: string;
  readonly streamedObject: string;
  /** A whole choice. */
  readonly choice: (choice: Choice, isScored: boolean) => object;
  /** A part of one. */
  readonly part: (choice: Choice, isScored: boolean) => object;
  /** What comes before the first part; null for nothing. */
  readonly opening: ((index: number) => object) | null;
}

const finishOf = ({ finish }: Choice): string | null =>
  finish === null ? null : finish === "length" ? "length" : "stop";

const bytesOf = (text: string): number[] | null =>
  text.includes("\ufffd") ? null : Array.from(new TextEncoder().encode(text));

const contentToken = ({ text, logprob }: PieceScore) => ({ token: text, logprob, bytes: bytesOf(text) });

function chatScores(tokens: readonly PieceToken[]): object {
  const content = tokens.map((token) => ({ ...contentToken(token), top_logprobs: token.likeliest.map(contentToken) }));
  return { content, refusal: null };
}

/**
 * Tokens and their likeliest ones by name: their text, or `token_id:ID` for a part of a character and for a text that a
 * likelier one has.
 */
function completionScores(tokens: readonly PieceToken[]): object {
  const named = tokens.map((token) => {
    const ids = new Map<string, number>();
    const nameOf = ({ id, text }: PieceScore): string => {
      const name = text.includes("\ufffd") || (ids.get(text) ?? id) !== id ? `token_id:${id}` : text;
      ids.set(name, id);
      return name;
    };
    const likeliest = token.likeliest.map((each) => [nameOf(each), each.logprob] as const);
    return { name: nameOf(token), likeliest: Object.fromEntries(likeliest) };
  });
  return {
    tokens: named.map(({ name }) => name),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: named.map(({ likeliest }) => likeliest),
    text_offset: tokens.map(({ offset }) => offset),
  };
}

const chatCommon = (choice: Choice, isScored: boolean) => ({
  index: choice.index,
  logprobs: isScored ? chatScores(choice.tokens) : null,
  finish_reason: finishOf(choice),
});

export const CHAT_FORMAT: AnswerFormat = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  streamedObject: "chat.completion.chunk",
  choice: (choice, isScored) => ({
    ...chatCommon(choice, isScored),
    message: { role: "assistant", content: choice.text, refusal: null },
  }),
  part: (choice, isScored) => ({
    ...chatCommon(choice, isScored),
    delta: choice.text === "" && choice.tokens.length === 0 ? {} : { content: choice.text },
  }),
  opening: (index) => ({ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }),
};

const completionChoice: AnswerFormat["choice"] = (choice, isScored) => ({
  index: choice.index,
  text: choice.text,
  logprobs: isScored ? completionScores(choice.tokens) : null,
  finish_reason: finishOf(choice),
});

export const COMPLETION_FORMAT: AnswerFormat = {
  idPrefix: "cmpl-",
  object: "text_completion",
  streamedObject: "text_completion",
  choice: completionChoice,
  part: completionChoice,
  opening: null,
};

/** Tokens of all questions of a request and of their answers; a stop text counts, the token that ends a text not. */
export function usageOf(endings: readonly Ending[]): object {
  const sum = (key: "promptTokens" | "tokens"): number => endings.reduce((total, ending) => total + ending[key], 0);
  const [prompt, completion] = [sum("promptTokens"), sum("tokens")];
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
