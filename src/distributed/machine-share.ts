import { allowedCores, machineIdentity, sha256 } from "#platform";
import type { Collective } from "./collective.js";

/** What a rank may take of its machine. */
export interface MachineShare {
  /** Threads to compute with. */
  readonly threads: number;
  /** Ranks on the machine, which share its memory. */
  readonly ranks: number;
}

/**
 * The share of each rank in its machine: of the cores that it may run on, each is shared by the ranks that may run on it
 * as well. So bound ranks get the cores that they are bound to, and others divide the machine. All ranks must call this.
 */
export async function machineShare(ranks: Collective): Promise<MachineShare> {
  const machine = Number.parseInt(sha256(new TextEncoder().encode(machineIdentity())).slice(0, 7), 16);
  const all = await ranks.gather(Int32Array.from([machine, ...allowedCores()]));
  return shareOf(ranks.rank, all);
}

/** @param places for each rank its machine, and the numbers of its cores. */
export function shareOf(rank: number, places: readonly Int32Array[]): MachineShare {
  const [machine, ...cores] = places[rank]!;
  const neighbours = places.filter((place) => place[0] === machine).map((place) => new Set(place.subarray(1)));
  const share = cores.reduce((sum, core) => sum + 1 / neighbours.filter((place) => place.has(core)).length, 0);
  // The sum of equal shares may lie just below a whole number.
  return { threads: Math.max(1, Math.floor(share + 1e-9)), ranks: neighbours.length };
}
