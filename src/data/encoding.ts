import { DataError } from "../base/errors.js";
import { mapInOrder } from "../base/in-order.js";
import { ChatProcesses } from "../chats/chat-processes.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { EncodingPool } from "./encoding-pool.js";
import { samplesOf } from "./encoding-work.js";
import type { Records } from "./record-parts.js";
import { type DataRecord, describePlace } from "./records.js";
import type { TextSample, UnencodedSample } from "./sample-tokens.js";
import { type RenderingOptions, type Sample, unencodedSamples } from "./samples.js";

/** Characters that are encoded at once. */
const PIECE = 2 ** 17;

/** The tokens of texts one after another, some at a time. @throws CheckpointError as the tokenizer. */
export async function* encodeTexts(records: Records, tokenizer: Tokenizer): AsyncGenerator<Int32Array, void> {
  async function* texts(): AsyncGenerator<readonly string[], void> {
    for await (const part of records.parts()) yield* piecesOf(part.map(textOf), ({ length }) => length);
  }
  const pool = new EncodingPool(tokenizer);
  try {
    yield* mapInOrder(
      texts(),
      pool.atOnce,
      async (piece) => (await pool.encode({ kind: "documents", texts: piece })).ids,
    );
  } finally {
    await pool.close();
  }
}

/**
 * Samples in the order of their records, some at a time.
 * @throws DataError for a text without a tokenizer, and as `unencodedSamples`; CheckpointError as the tokenizer.
 */
export async function* encodeSamples(
  records: Records,
  tokenizer: Tokenizer | undefined,
  options: RenderingOptions,
): AsyncGenerator<readonly Sample[], void> {
  const scoring = { trainOnInputs: options.trainOnInputs, scoredTurns: options.scoredTurns };
  const pool = tokenizer === undefined ? null : new EncodingPool(tokenizer);
  const processes = new ChatProcesses();
  const encode = async (piece: readonly Placed[]): Promise<readonly Sample[]> => {
    const texts = piece.map(({ sample }) => sample).filter(isText);
    const encoded =
      texts.length === 0 ? [] : samplesOf(await pool!.encode({ kind: "samples", samples: texts, scoring }));
    const next = encoded.values();
    return piece.map(({ place, sample }) => ({ place, ...(isText(sample) ? next.next().value! : sample.tokens) }));
  };
  async function* placed(): AsyncGenerator<readonly Placed[], void> {
    for await (const part of records.parts()) {
      const samples = (await unencodedSamples(part, options, processes)).map((sample, index) => {
        const { place } = part[index]!;
        if (pool === null && isText(sample))
          throw new DataError(`${describePlace(place)}: needs a tokenizer; name one`);
        return { place, sample };
      });
      yield* piecesOf(samples, ({ sample }) => (isText(sample) ? sample.text.length : sample.tokens.ids.length));
    }
  }
  try {
    yield* mapInOrder(placed(), pool?.atOnce ?? 1, encode);
  } finally {
    processes.close();
    await pool?.close();
  }
}

interface Placed {
  readonly place: Sample["place"];
  readonly sample: UnencodedSample;
}

function isText(sample: UnencodedSample): sample is TextSample {
  return sample.kind !== "token rows";
}

function textOf(record: DataRecord): string {
  return record.kind === "text" ? record.text : "";
}

/** Items in pieces of about `PIECE` characters. */
function* piecesOf<T>(items: readonly T[], charactersOf: (item: T) => number): Generator<readonly T[], void> {
  let [start, characters] = [0, 0];
  for (const [index, item] of items.entries()) {
    characters += charactersOf(item);
    if (characters < PIECE) continue;
    yield items.slice(start, index + 1);
    [start, characters] = [index + 1, 0];
  }
  if (start < items.length) yield items.slice(start);
}
