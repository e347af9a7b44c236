import type { Collective } from "../distributed/collective.js";
import { addGradients, discardGradient, type Gradient, RowGradient, storedEntries } from "../optim/gradient.js";

/** By parameter name. */
export type Gradients = Map<string, Gradient>;

/** The part of so many micro-batches that a rank computes: from `first` to before `end`. */
export function shareOf(count: number, { rank, size }: Pick<Collective, "rank" | "size">): readonly [number, number] {
  return [Math.floor((count * rank) / size), Math.floor((count * (rank + 1)) / size)];
}

/**
 * Adds up the gradients of the micro-batches from `first` to before `end`, one after another, as a binary tree of
 * halves. So ranks that each have a half, a quarter and so on get the same bits together as one process by itself. At
 * most log2(end - first) + 1 of them are held at once, beside the one being computed.
 */
export async function sumAsTree(
  first: number,
  end: number,
  compute: (index: number) => Promise<Gradients>,
): Promise<Gradients> {
  if (end - first === 1) return compute(first);
  const middle = first + ((end - first) >> 1);
  const sums = await sumAsTree(first, middle, compute);
  for (const [name, gradient] of await sumAsTree(middle, end, compute)) {
    sums.set(name, addGradients(sums.get(name)!, gradient));
    discardGradient(gradient);
  }
  return sums;
}

/** Adds up the gradients of all ranks, in one message of the entries that can be nonzero on some rank. */
export async function sumOverRanks(gradients: Gradients, ranks: Collective): Promise<Gradients> {
  if (ranks.size === 1) return gradients;
  const spread: Gradients = new Map();
  for (const [name, gradient] of gradients) spread.set(name, await spreadOver(gradient, ranks));
  const parts = [...spread.values()].map(storedEntries);
  const sums = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let end = 0;
  for (const part of parts) {
    sums.set(part, end);
    end += part.length;
  }
  await ranks.sum(sums);
  let start = 0;
  for (const part of parts) {
    part.set(sums.subarray(start, start + part.length));
    start += part.length;
  }
  return spread;
}

/** The gradient itself, or with the rows that it has on any rank, so that they are the same on all. */
async function spreadOver(gradient: Gradient, ranks: Collective): Promise<Gradient> {
  if (!(gradient instanceof RowGradient)) return gradient;
  const { width, length } = gradient;
  const indices = (await ranks.gather(gradient.indices)).flatMap((each) => [...each]);
  const rows = new Set(indices).size;
  const zeros = new RowGradient(Int32Array.from(new Set(indices)), new Float32Array(rows * width), length);
  return zeros.plus(gradient);
}
