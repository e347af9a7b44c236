import type { ScoredTurns, Spans } from "../chats/chat-rendering.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { IGNORED_LABEL, type TokenLabels } from "./rows.js";
import { commonTokens, encodeScored, encodeTurns } from "./scored-tokens.js";

/** What is scored of a sample. */
export interface Scoring {
  /** Score prompts and the turns of all roles as well. Labels in the data stay as they are. */
  readonly trainOnInputs: boolean;
  readonly scoredTurns: ScoredTurns;
}

/** A sample before it is encoded, of plain values that can be copied between threads. */
export type UnencodedSample =
  | { readonly kind: "token rows"; readonly tokens: TokenLabels }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "completion"; readonly text: string; readonly promptLength: number }
  | {
      readonly kind: "chat";
      readonly text: string;
      /** Parts of the assistant, which are scored. */
      readonly spans: Spans;
      readonly isClosed: boolean;
      readonly endsWithAssistant: boolean;
    }
  | {
      readonly kind: "completed chat";
      readonly text: string;
      readonly prompt: string;
      readonly endsWithAssistant: boolean;
    };

type UnencodedOf<K extends UnencodedSample["kind"]> = Extract<UnencodedSample, { kind: K }>;

/** A sample that has tokens needs no tokenizer. */
export type TextSample = Exclude<UnencodedSample, { kind: "token rows" }>;

/**
 * Encodes a sample, with labels for its scored tokens: the completion or output and the end of text after it, the
 * assistant's parts of messages, or the whole of a text.
 * @throws CheckpointError as the tokenizer.
 */
export function encodeSample(
  tokenizer: Tokenizer,
  sample: TextSample,
  { trainOnInputs, scoredTurns }: Scoring,
): TokenLabels {
  const score = trainOnInputs ? scoreAll : <T>(labels: T): T => labels;
  switch (sample.kind) {
    case "text":
      return scoreAll(ended(tokenizer, encodeSurrounded(tokenizer, sample.text, [])));
    case "chat":
      return score(encodeChat(tokenizer, sample, scoredTurns));
    case "completed chat":
      return score(encodeCompletedChat(tokenizer, sample));
    case "completion": {
      const { text, promptLength } = sample;
      return score(ended(tokenizer, encodeSurrounded(tokenizer, text, [[promptLength, text.length]])));
    }
  }
}

/**
 * Scores all that the completion adds to the prompt with its generation prompt, as TRL does: from the first token that
 * they do not share.
 */
function encodeCompletedChat(
  tokenizer: Tokenizer,
  { text, prompt, endsWithAssistant }: UnencodedOf<"completed chat">,
): TokenLabels {
  const { ids } = encodeScored(tokenizer, text, []);
  const { common } = commonTokens(tokenizer, prompt, ids);
  const labels = ids.slice().fill(IGNORED_LABEL, 0, common);
  return endsWithAssistant ? endedTurn(tokenizer, text, { ids, labels }) : { ids, labels };
}

/** Scores the assistant's turns, and adds an end of text after a last one that has none. */
function encodeChat(
  tokenizer: Tokenizer,
  { text, spans, isClosed, endsWithAssistant }: UnencodedOf<"chat">,
  scoredTurns: ScoredTurns,
): TokenLabels {
  const encoded =
    scoredTurns === "whole"
      ? encodeTurns(tokenizer, text, spans)
      : encodeScored(
          tokenizer,
          text,
          spans.map((span) => replyOf(tokenizer, text, span)),
        );
  return isClosed || !endsWithAssistant ? encoded : endedTurn(tokenizer, text, encoded);
}

/** Adds an end of text after the assistant's last turn if the template ends it with no special token. */
function endedTurn(tokenizer: Tokenizer, text: string, encoded: TokenLabels): TokenLabels {
  return tokenizer.endsInAddedToken(text.trimEnd()) ? encoded : ended(tokenizer, encoded);
}

/** A turn without what the template writes behind the token that ends it. */
function replyOf(tokenizer: Tokenizer, text: string, [start, end]: Spans[number]): Spans[number] {
  const written = text.slice(start, end).trimEnd();
  return tokenizer.endsInAddedToken(written) ? [start, start + written.length] : [start, end];
}

/** Encodes a text with what the tokenizer puts around it. What stands in front is not scored, what stands after is. */
function encodeSurrounded(tokenizer: Tokenizer, text: string, spans: Spans): TokenLabels {
  const { before, after } = tokenizer.surround;
  const { ids, labels } = encodeScored(tokenizer, text, spans);
  return {
    ids: joined(before, ids, after),
    labels: joined(
      before.map(() => IGNORED_LABEL),
      labels,
      after,
    ),
  };
}

/** Appends the end of text, scored. */
function ended(tokenizer: Tokenizer, { ids, labels }: TokenLabels): TokenLabels {
  const { endOfTextId } = tokenizer;
  if (ids.at(-1) === endOfTextId) return { ids, labels };
  const longer = (array: Int32Array): Int32Array => {
    const result = new Int32Array(array.length + 1).fill(endOfTextId);
    result.set(array);
    return result;
  };
  return { ids: longer(ids), labels: longer(labels) };
}

function joined(...parts: readonly ArrayLike<number>[]): Int32Array {
  const result = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function scoreAll({ ids }: TokenLabels): TokenLabels {
  return { ids, labels: ids };
}
