// A model of the time of a step on many ranks: what they exchange, counted as the code does it, and what they compute, as it
// was measured on one.

/** What the ranks of a step exchange. */
export interface StepExchange {
  /** Numbers in gradients that travel whole. */
  readonly dense: number;
  /** The table whose gradient travels in rows; null where it is not trained. */
  readonly embedding: { readonly width: number; readonly vocab: number } | null;
  /** Of all ranks together. */
  readonly microBatches: number;
  /** Of a micro-batch, all of them different as long as the vocabulary lasts, which is the most that can be. */
  readonly tokens: number;
}

/** What one rank sends in a step. */
export interface Traffic {
  readonly bytes: number;
  readonly messages: number;
}

/** Rows of the embedding that are not zero for one of so many shares of the micro-batches. */
function rowsIn({ embedding, microBatches, tokens }: StepExchange, shares: number): number {
  return embedding === null ? 0 : Math.min(embedding.vocab, (microBatches / shares) * tokens);
}

/** Numbers whose sum over all ranks is taken. */
function addedNumbers(exchange: StepExchange): number {
  const { dense, embedding } = exchange;
  return dense + (embedding === null ? 0 : embedding.width * rowsIn(exchange, 1));
}

/**
 * What each of so many ranks sends, a power of two. A step has three sums, of which each is 2 log2(ranks) messages and
 * 2 (1 - 1 / ranks) of its bytes: of the gradients, of the losses and of the wish to stop. Where the embedding is trained,
 * a fourth sum and a ring around all ranks tell which rows there are.
 */
export function trafficOf(exchange: StepExchange, ranks: number): Traffic {
  const rounds = 2 * Math.log2(ranks);
  const passed = ranks - 1;
  const sent = (bytes: number): number => (2 * passed * bytes) / ranks;
  const sums = sent(4 * addedNumbers(exchange)) + sent(8 * exchange.microBatches) + sent(8);
  if (exchange.embedding === null) return { bytes: sums, messages: 3 * rounds };
  const rows = sent(8 * ranks) + passed * 4 * rowsIn(exchange, ranks);
  return { bytes: sums + rows, messages: 4 * rounds + passed };
}

/** What one rank computes, in seconds. */
export interface Compute {
  readonly microBatch: number;
  /** Norm, clipping and AdamW, which every rank does for all that is trained. */
  readonly update: number;
}

/** What a rank does with what it exchanges, in seconds. */
export interface LocalCosts {
  /** To put one number into the message and take it out. */
  readonly perNumber: number;
  /** To add one received number. */
  readonly perAddition: number;
  /** To find which rows there are, for each row of each rank. */
  readonly perIndex: number;
  /** To spread the gradient of the embedding over the rows of all ranks, for each of these. */
  readonly perRow: number;
}

export interface Network {
  readonly name: string;
  readonly bytesPerSecond: number;
  /** Seconds from sending a message until it has arrived, its bytes not counted. */
  readonly latency: number;
}

/** A step of all that is known of it. */
export interface ModelledStep {
  readonly exchange: StepExchange;
  readonly compute: Compute;
  readonly local: LocalCosts;
  readonly network: Network;
}

/** Seconds of a step on so many ranks, a power of two that divides its micro-batches. Nothing overlaps. */
export function stepSeconds({ exchange, compute, local, network }: ModelledStep, ranks: number): number {
  const computed = (exchange.microBatches / ranks) * compute.microBatch + compute.update;
  if (ranks === 1) return computed;
  const { bytes, messages } = trafficOf(exchange, ranks);
  const perNumber = local.perNumber + (1 - 1 / ranks) * local.perAddition;
  const inRows = ranks * rowsIn(exchange, ranks) * local.perIndex + rowsIn(exchange, 1) * local.perRow;
  const handled = addedNumbers(exchange) * perNumber + inRows;
  return computed + handled + messages * network.latency + bytes / network.bytesPerSecond;
}

/** The time that one rank takes, divided by the time that so many take together: 1 where nothing is lost. */
export function efficiency(step: ModelledStep, ranks: number): number {
  return stepSeconds(step, 1) / (ranks * stepSeconds(step, ranks));
}

/** The least number of ranks, a power of two, that loses more than half of their time; null if there is none up to `most`. */
export function halfLostFrom(step: ModelledStep, most: number): number | null {
  for (let ranks = 2; ranks <= most; ranks *= 2) if (efficiency(step, ranks) < 0.5) return ranks;
  return null;
}
