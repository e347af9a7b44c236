import { DataError } from "../base/errors.js";
import { either, optionName } from "../base/naming.js";
import type { ChatProcesses } from "../chats/chat-processes.js";
import type { RenderedConversation, Spans } from "../chats/chat-rendering.js";
import type { ChatTemplate } from "../chats/chat-template.js";
import { BUILT_IN_NAMES } from "../tokenizers/built-in-templates.js";
import { Faults, requireNoFaults } from "./jsonl-format.js";
import { countScoredLabels } from "./packing.js";
import { type DataRecord, describePlace, type Place } from "./records.js";
import type { TokenLabels } from "./rows.js";
import { type Samples, SampleView } from "./sample-store.js";
import type { Scoring, UnencodedSample } from "./sample-tokens.js";

/** One sample in tokens, and the place of its record. */
export interface Sample extends TokenLabels {
  readonly place: Place;
}

/** The way in which chats are written. */
export interface RenderingOptions extends Scoring {
  /** Needed for messages. */
  readonly template: ChatTemplate | null;
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
 * Records as they are encoded: chats as their template writes them.
 * @throws DataError naming each sample that the template refuses.
 */
export async function unencodedSamples(
  records: readonly DataRecord[],
  options: RenderingOptions,
  processes: ChatProcesses,
): Promise<UnencodedSample[]> {
  const answers = await rendered(records, options, processes);
  return records.map((record, index): UnencodedSample => {
    switch (record.kind) {
      case "token rows":
        return { kind: "token rows", tokens: record.tokens };
      case "text":
        return { kind: "text", text: record.text };
      case "messages":
      case "prompt-completion messages": {
        const { text, prompt, assistantSpans, isClosed } = answers[index]!;
        const endsWithAssistant = record.conversation.messages.at(-1)!.role === "assistant";
        return record.kind === "messages"
          ? { kind: "chat", text, spans: assistantSpans, isClosed, endsWithAssistant }
          : { kind: "completed chat", text, prompt, endsWithAssistant };
      }
      default: {
        const { prompt, completion } = record;
        return { kind: "completion", text: prompt + completion, promptLength: prompt.length };
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
  { template, trainOnInputs, scoredTurns, chatDate }: RenderingOptions,
  processes: ChatProcesses,
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
  const task = isScoredWhole ? "plain" : scoredTurns;
  const answers = await template.renderAll(conversations, task, chatDate, processes);
  const promptAnswers = trainOnInputs ? [] : await template.renderAll(prompts, "prompt", chatDate, processes);
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
