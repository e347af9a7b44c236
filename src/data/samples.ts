import { DataError } from "../base/errors.js";
import { either, optionName } from "../base/naming.js";
import type { Conversation, RenderedConversation, ScoredTurns, Spans } from "../chats/chat-rendering.js";
import type { ChatTemplate } from "../chats/chat-template.js";
import { BUILT_IN_NAMES } from "../tokenizers/built-in-templates.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { Faults, requireNoFaults } from "./jsonl-format.js";
import { countScoredLabels } from "./packing.js";
import { type DataRecord, describePlace, type Place } from "./records.js";
import type { TokenLabels } from "./rows.js";
import { IGNORED_LABEL } from "./rows.js";
import { type Samples, SampleView } from "./sample-store.js";
import { commonTokens, encodeScored, encodeTurns } from "./scored-tokens.js";

/** One sample in tokens, and the place of its record. */
export interface Sample extends TokenLabels {
  readonly place: Place;
}

export interface SampleOptions {
  /** Needed for everything but rows of tokens. */
  readonly tokenizer: Tokenizer | undefined;
  /** Needed for messages. */
  readonly template: ChatTemplate | null;
  /** Score prompts and the turns of all roles as well. Labels in the data stay as they are. */
  readonly trainOnInputs: boolean;
  readonly scoredTurns: ScoredTurns;
  /** Day that templates are told, as YYYY-MM-DD; null for none. */
  readonly chatDate: string | null;
}

export interface CuttingOptions {
  /** Most tokens of a sample. */
  readonly maxTokens: number;
  /** Cut longer samples at their end; otherwise they are errors. */
  readonly truncate: boolean;
}

/** Samples in the order of their records, and counts of what was cut from them. */
export interface EncodedSamples {
  readonly samples: Samples;
  readonly truncation: Truncation;
}

export interface Truncation {
  /** Number of samples that were cut. */
  readonly samples: number;
  /** Number of tokens that were cut off. */
  readonly tokens: number;
}

/**
 * Cuts samples to the length of a row.
 * @throws DataError naming each sample that is too long or that has no scored token.
 */
export function cutSamples(whole: Samples, { maxTokens, truncate }: CuttingOptions): EncodedSamples {
  const faults = new Faults();
  let [cut, tokens] = [0, 0];
  const cutOne = ({ ids, labels, place }: Sample): Sample => {
    return { place, ids: ids.subarray(0, maxTokens), labels: labels.subarray(0, maxTokens) };
  };
  for (const sample of whole) {
    const excess = Math.max(0, sample.ids.length - maxTokens);
    if (excess > 0) cut++;
    tokens += excess;
    const where = describePlace(sample.place);
    if (excess > 0 && !truncate) faults.add(`${where}: must have at most ${maxTokens} ids, got ${sample.ids.length}`);
    else if (countScoredLabels(cutOne(sample).labels) === 0)
      faults.add(`${where}: ${nothingScored(sample, maxTokens)}`);
  }
  faults.requireNone("samples");
  return { samples: cut === 0 ? whole : new SampleView(whole, cutOne), truncation: { samples: cut, tokens } };
}

/** @throws DataError naming the first sample with an id outside the vocabulary. */
export function requireVocabulary(samples: Iterable<Sample>, vocabSize: number): void {
  for (const { ids, labels, place } of samples) {
    const largest = [ids, labels].reduce((most, array) => array.reduce((a, b) => Math.max(a, b), most), 0);
    if (largest < vocabSize) continue;
    throw new DataError(
      `${describePlace(place)}: ids must be below ${vocabSize}, the model's vocabulary, got ${largest}`,
    );
  }
}

function nothingScored({ ids, labels }: TokenLabels, maxTokens: number): string {
  if (countScoredLabels(labels) > 0) {
    const remedy = `raise ${optionName("sequenceLength")}, shorten its prompt, or leave it out`;
    return `no token is scored: only the first ${maxTokens} of its ${ids.length} tokens fit; ${remedy}`;
  }
  return (
    "no token is scored: it has no turn of the assistant, or all its labels are -100; " +
    `leave it out, or score all turns of messages (${optionName("trainOnInputs", true)})`
  );
}

/**
 * Encodes samples, with labels for their scored tokens: the completion or output and the end of text after it, the
 * assistant's parts of messages, or the whole of a text.
 * @throws DataError naming each sample that the template refuses; also the tokenizer's errors.
 */
export async function wholeSamples(records: readonly DataRecord[], options: SampleOptions): Promise<Sample[]> {
  const { tokenizer, trainOnInputs, scoredTurns } = options;
  const answers = await rendered(records, options);
  return records.map((record, index) => {
    const { place } = record;
    if (record.kind === "token rows") return { place, ...record.tokens };
    if (tokenizer === undefined) throw new DataError(`${describePlace(place)}: needs a tokenizer; name one`);
    const score = trainOnInputs ? scoreAll : <T>(labels: T): T => labels;
    switch (record.kind) {
      case "text":
        return { place, ...scoreAll(ended(tokenizer, encodeSurrounded(tokenizer, record.text, []))) };
      case "messages":
        return { place, ...score(encodeConversation(tokenizer, record.conversation, answers[index]!, scoredTurns)) };
      case "prompt-completion messages":
        return { place, ...score(encodeCompletion(tokenizer, record.conversation, answers[index]!)) };
      default: {
        const { prompt, completion } = record;
        const text = prompt + completion;
        return { place, ...score(ended(tokenizer, encodeSurrounded(tokenizer, text, [[prompt.length, text.length]]))) };
      }
    }
  });
}

type MessagesRecord = Extract<DataRecord, { kind: "messages" }>;

/** A conversation as its template writes it, with the text of its prompt alone where the completion is scored. */
interface RenderedRecord extends RenderedConversation {
  readonly prompt: string;
}

async function rendered(
  records: readonly DataRecord[],
  { template, trainOnInputs, scoredTurns, chatDate }: SampleOptions,
): Promise<readonly RenderedRecord[]> {
  const conversations = records.flatMap((record) =>
    record.kind === "messages" || record.kind === "prompt-completion messages" ? [record.conversation] : [],
  );
  if (conversations.length === 0) return [];
  if (template === null) {
    throw new DataError(
      `${records[0]!.place.path}: has messages, for which the tokenizer has no chat template; ` +
        `name one with ${either("chatTemplate", "--chat-template")}, a file or one of ${BUILT_IN_NAMES.join(", ")}, or a ` +
        "model that has one",
    );
  }
  const prompts = records.flatMap((record) =>
    record.kind === "prompt-completion messages"
      ? [{ ...record.conversation, messages: record.conversation.messages.slice(0, record.promptMessages) }]
      : [],
  );
  const isScoredWhole = trainOnInputs || prompts.length > 0;
  const answers = await template.renderAll(conversations, isScoredWhole ? "plain" : scoredTurns, chatDate);
  const promptAnswers = trainOnInputs ? [] : await template.renderAll(prompts, "prompt", chatDate);
  const faults: string[] = [];
  const done = answers.flatMap((answer, i): RenderedRecord[] => {
    const [record, prompt] = [records[i]!, promptAnswers[i]];
    try {
      if ("fault" in answer) throw new DataError(answer.fault);
      if (prompt !== undefined && "fault" in prompt) throw new DataError(prompt.fault);
      const isMarked = record.kind === "messages" && record.scored !== undefined;
      const assistantSpans = isMarked ? scoredSpans(record, answer, trainOnInputs) : answer.assistantSpans;
      return [{ ...answer, assistantSpans, prompt: prompt?.text ?? "" }];
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      faults.push(`${describePlace(record.place)}: ${error.text}`);
      return [];
    }
  });
  requireNoFaults(faults, "samples");
  return done;
}

/** The spans of the turns that the data want scored. @throws DataError if it is not known whose they are. */
function scoredSpans(
  { conversation, scored = [] }: MessagesRecord,
  { assistantSpans, spanMessages }: RenderedConversation,
  trainOnInputs: boolean,
): Spans {
  if (trainOnInputs) {
    throw new DataError(
      `its messages say which of them are scored; leave that out, or ${optionName("trainOnInputs", true)}`,
    );
  }
  if (!spanMessages.includes(-1)) return assistantSpans.filter((_, index) => scored[spanMessages[index]!]);
  const { length } = conversation.messages.filter(({ role }) => role === "assistant");
  throw new DataError(
    `some messages are not to be scored, but its chat template shows ${assistantSpans.length} parts of the assistant ` +
      `for ${length} messages; write the conversation as input_ids with labels, or name another template`,
  );
}

/**
 * Scores all that the completion adds to the prompt with its generation prompt, as TRL does: from the first token that
 * they do not share.
 */
function encodeCompletion(
  tokenizer: Tokenizer,
  { messages }: Conversation,
  { text, prompt }: RenderedRecord,
): TokenLabels {
  const { ids } = encodeScored(tokenizer, text, []);
  const { common } = commonTokens(tokenizer, prompt, ids);
  const labels = ids.slice().fill(IGNORED_LABEL, 0, common);
  return endedTurn(tokenizer, messages, text, { ids, labels });
}

/** Scores the assistant's turns, and adds an end of text after a last one that has none. */
function encodeConversation(
  tokenizer: Tokenizer,
  { messages }: Conversation,
  { text, assistantSpans, isClosed }: RenderedConversation,
  scoredTurns: ScoredTurns,
): TokenLabels {
  const encoded =
    scoredTurns === "whole"
      ? encodeTurns(tokenizer, text, assistantSpans)
      : encodeScored(
          tokenizer,
          text,
          assistantSpans.map((span) => replyOf(tokenizer, text, span)),
        );
  return isClosed ? encoded : endedTurn(tokenizer, messages, text, encoded);
}

/** Adds an end of text after the assistant's last turn if the template ends it with no special token. */
function endedTurn(
  tokenizer: Tokenizer,
  messages: Conversation["messages"],
  text: string,
  encoded: TokenLabels,
): TokenLabels {
  const isOpen = messages.at(-1)!.role === "assistant" && !tokenizer.endsInAddedToken(text.trimEnd());
  return isOpen ? ended(tokenizer, encoded) : encoded;
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
