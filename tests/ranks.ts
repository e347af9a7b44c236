import type { Collective } from "../src/distributed/collective.js";
import { memoryTransports } from "../src/distributed/memory-transport.js";
import { TreeCollective } from "../src/distributed/tree-collective.js";

/**
 * Does the same work as each of so many ranks at once, all in this process. Gives their results by rank.
 * @param Ranks what the ranks are to one another.
 */
export function asRanks<T>(
  size: number,
  work: (ranks: Collective) => Promise<T>,
  Ranks: typeof TreeCollective = TreeCollective,
): Promise<T[]> {
  return Promise.all(memoryTransports(size).map((transport) => work(new Ranks(transport))));
}
