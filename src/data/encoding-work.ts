import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { TokenLabels } from "./rows.js";
import { encodeSample, type Scoring, type TextSample } from "./sample-tokens.js";

/** Texts to encode: documents of a stream, or samples. */
export type EncodingTask =
  | { readonly kind: "documents"; readonly texts: readonly string[] }
  | { readonly kind: "samples"; readonly samples: readonly TextSample[]; readonly scoring: Scoring };

/** Tokens of several samples one after another, since a copy of many small arrays is slow. */
export interface EncodedTask {
  readonly ids: Int32Array<ArrayBuffer>;
  readonly labels: Int32Array<ArrayBuffer>;
  /** The end of each sample. Empty for documents, which have no labels. */
  readonly ends: Int32Array<ArrayBuffer>;
}

/** Characters of a task. */
export function charactersOf(task: EncodingTask): number {
  const texts = task.kind === "documents" ? task.texts : task.samples.map(({ text }) => text);
  return texts.reduce((sum, { length }) => sum + length, 0);
}

/** @throws CheckpointError as the tokenizer. */
export function encodeTask(tokenizer: Tokenizer, task: EncodingTask): EncodedTask {
  if (task.kind === "samples") return packed(task.samples.map((each) => encodeSample(tokenizer, each, task.scoring)));
  return { ids: tokenizer.encodeDocuments(task.texts), labels: new Int32Array(0), ends: new Int32Array(0) };
}

function packed(samples: readonly TokenLabels[]): EncodedTask {
  const length = samples.reduce((sum, { ids }) => sum + ids.length, 0);
  const [ids, labels, ends] = [new Int32Array(length), new Int32Array(length), new Int32Array(samples.length)];
  let end = 0;
  for (const [index, sample] of samples.entries()) {
    ids.set(sample.ids, end);
    labels.set(sample.labels, end);
    end += sample.ids.length;
    ends[index] = end;
  }
  return { ids, labels, ends };
}

/** The samples of a task. */
export function samplesOf({ ids, labels, ends }: EncodedTask): TokenLabels[] {
  return Array.from(ends, (end, index) => {
    const start = index === 0 ? 0 : ends[index - 1]!;
    return { ids: ids.subarray(start, end), labels: labels.subarray(start, end) };
  });
}
