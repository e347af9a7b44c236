import { allowedCores, machineIdentity, sha256 } from "#platform";
import type { Collective } from "./collective.js";

/**
 * Threads for each rank: its share of the cores that it may run on, of which each is shared by the ranks that may run
 * on it as well. So bound ranks get the cores that they are bound to, and others divide the machine. All ranks must
 * call this.
 */
export async function rankThreads(ranks: Collective): Promise<number> {
  const machine = Number.parseInt(sha256(new TextEncoder().encode(machineIdentity())).slice(0, 7), 16);
  const all = await ranks.gather(Int32Array.of(machine, ...allowedCores()));
  return threadsOf(ranks.rank, all);
}

/** @param places for each rank its machine, and the numbers of its cores. */
export function threadsOf(rank: number, places: readonly Int32Array[]): number {
  const [machine, ...cores] = places[rank]!;
  const neighbours = places.filter((place) => place[0] === machine).map((place) => new Set(place.subarray(1)));
  const share = cores.reduce((sum, core) => sum + 1 / neighbours.filter((place) => place.has(core)).length, 0);
  // The sum of equal shares may lie just below a whole number.
  return Math.max(1, Math.floor(share + 1e-9));
}
