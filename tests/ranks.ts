import type { Collective } from "../src/distributed/collective.js";
import { memoryTransports } from "../src/distributed/memory-transport.js";
import { TreeCollective } from "../src/distributed/tree-collective.js";

/** Does the same work as each of so many ranks at once, all in this process. Gives their results by rank. */
export function asRanks<T>(size: number, work: (ranks: Collective) => Promise<T>): Promise<T[]> {
  return Promise.all(memoryTransports(size).map((transport) => work(new TreeCollective(transport))));
}
