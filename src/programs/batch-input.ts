import { largest } from "../base/numbers.js";
import { DynamicSizes, primeFrom } from "../compiler/dynamic-sizes.js";
import type { Batch, BatchShape } from "../data/packing.js";
import { IGNORED_LABEL } from "../data/rows.js";
import { maskFeeds, SampleSequence } from "../nn/sample-sequence.js";
import type { Sequence } from "../nn/sequence.js";
import type { Feeds, Sizes } from "../runtime/program.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";

/** The batches of one shape as a graph over them takes them. */
export interface BatchInput {
  /** Inputs of two axes, int32. */
  readonly ids: Tensor;
  readonly labels: Tensor;
  /** Undefined for whole rows. */
  readonly sequence: Sequence | undefined;
  /** Tokens whose logits exist at once. */
  readonly chunkSize: number;
  /** Sizes that each batch decides. */
  readonly sizes: DynamicSizes | undefined;
  feed(batch: Batch): FedBatch;
}

/** A batch as the inputs of a run. */
export interface FedBatch {
  readonly feeds: Feeds;
  readonly sizes: Sizes;
  /** Tokens that the run computes, with those of padding. */
  readonly tokens: number;
}

/** A graph over rows has their size. One over samples is the same for all sizes, which are those of each batch. */
export function batchInput(shape: BatchShape, lossChunk: number): BatchInput {
  if (shape.mostTokens === undefined) return rowInput(shape, lossChunk);
  // Larger than any size of a model, and small enough that products of them with those are exact.
  const blockLength = primeFrom(2 ** 19, () => true);
  const chunkSize = primeFrom(2 ** 25, () => true);
  return sampleInput(shape, sampleParts(shape, lossChunk), { blockLength, chunkSize }, true);
}

/** The input of a graph over the largest batch alone, from which its memory can be told. */
export function largestInput(shape: BatchShape, lossChunk: number): BatchInput {
  const { batchSize, sequenceLength, mostTokens } = shape;
  if (mostTokens === undefined) return rowInput(shape, lossChunk);
  const parts = sampleParts(shape, lossChunk);
  const lengths = new Array<number>(batchSize).fill(Math.floor(mostTokens / batchSize));
  lengths[0] = sequenceLength;
  return sampleInput(shape, parts, fittedSizes(lengths, mostTokens, parts, batchSize), false);
}

function rowInput({ batchSize, sequenceLength }: BatchShape, lossChunk: number): BatchInput {
  const rows = [batchSize, sequenceLength];
  return {
    ids: placeholder("ids", rows, "int32"),
    labels: placeholder("labels", rows, "int32"),
    sequence: undefined,
    chunkSize: lossChunk,
    sizes: undefined,
    feed: ({ inputIds: ids, labels }) => ({ feeds: { ids, labels }, sizes: {}, tokens: ids.length }),
  };
}

/** Parts into which a batch of samples is divided, whatever its size. */
interface SampleParts {
  /** Chunks of the loss. */
  readonly chunks: number;
  /** Blocks of attention. */
  readonly blocks: number;
}

/** Tokens of a block of attention, about: shorter ones are not worth a kernel, longer ones compute what is masked. */
const BLOCK = { shortest: 64, longest: 256, most: 4 };

function sampleParts({ sequenceLength: longest, mostTokens }: BatchShape, lossChunk: number): SampleParts {
  const few = Math.min(BLOCK.most, Math.ceil(longest / BLOCK.shortest));
  const blocks = Math.max(few, Math.ceil(longest / BLOCK.longest));
  return { chunks: Math.ceil((mostTokens! + 1) / lossChunk), blocks };
}

/** The sizes that a batch decides. */
interface FittedSizes extends Sizes {
  /** Tokens of a chunk of the loss. */
  readonly chunkSize: number;
  /** Tokens of a block of attention. */
  readonly blockLength: number;
}

/** Tokens of a chunk are a multiple of this. */
const STEP = 8;

/** The smallest sizes that have room for the samples, for a token of padding, and for a slot without one. */
function fittedSizes(
  lengths: readonly number[],
  tokens: number,
  { chunks, blocks }: SampleParts,
  samples: number,
): FittedSizes {
  const chunkSize = STEP * Math.ceil((tokens + 1) / (STEP * chunks));
  const blockLength = Math.ceil(largest(lengths) / blocks);
  const isFull = samples * blocks * blockLength === tokens;
  return { chunkSize, blockLength: isFull ? blockLength + 1 : blockLength };
}

function sampleInput(
  { batchSize: samples, sequenceLength: longest }: BatchShape,
  parts: SampleParts,
  { chunkSize, blockLength }: FittedSizes,
  isDynamic: boolean,
): BatchInput {
  const { chunks, blocks } = parts;
  const sequence = new SampleSequence({ tokens: chunks * chunkSize, samples, blocks, blockLength, longest });
  let masks: { readonly blockLength: number; readonly feeds: Feeds } = { blockLength: 0, feeds: {} };
  return {
    ids: placeholder("ids", [chunks, chunkSize], "int32"),
    labels: placeholder("labels", [chunks, chunkSize], "int32"),
    sequence,
    chunkSize,
    sizes: isDynamic ? new DynamicSizes({ chunkSize, blockLength }) : undefined,
    feed({ inputIds, labels, lengths = [] }) {
      const sizes = fittedSizes(lengths, inputIds.length, parts, samples);
      if (masks.blockLength !== sizes.blockLength) {
        masks = { blockLength: sizes.blockLength, feeds: maskFeeds(sequence, sizes.blockLength) };
      }
      const tokens = chunks * sizes.chunkSize;
      const ids = padded(inputIds, tokens, 0);
      const placed = placeSamples(lengths, { tokens, samples, row: blocks * sizes.blockLength });
      const feeds = { ids, labels: padded(labels, tokens, IGNORED_LABEL), ...placed, ...masks.feeds };
      return { feeds, sizes, tokens };
    },
  };
}

function padded(values: Int32Array, length: number, value: number): Int32Array {
  const result = new Int32Array(length).fill(value, values.length);
  result.set(values);
  return result;
}

/** Where each token of the samples stands in attention's rows, the reverse, and its place in its sample. */
function placeSamples(
  lengths: readonly number[],
  { tokens, samples, row }: { readonly tokens: number; readonly samples: number; readonly row: number },
): { places: Int32Array; slots: Int32Array; positions: Int32Array } {
  const short = lengths.findIndex((length) => length < row);
  const unused = short < 0 ? lengths.length * row : (short + 1) * row - 1;
  const places = new Int32Array(samples * row).fill(tokens - 1);
  const slots = new Int32Array(tokens).fill(unused);
  const positions = new Int32Array(tokens);
  let token = 0;
  for (const [sample, length] of lengths.entries()) {
    for (let position = 0; position < length; position++, token++) {
      const slot = sample * row + position;
      places[slot] = token;
      slots[token] = slot;
      positions[token] = position;
    }
  }
  return { places, slots, positions };
}
