import { cpuCount } from "#platform";
import { optionName } from "../base/naming.js";

/** So many threads for each core are no slip of the hand, as where processors are shared out by a scheduler. */
const MOST_PER_CORE = 4;

/** Why so many threads are too many for a machine; null if they are not, and for null, which leaves the number open. */
export function threadsWarning(asked: number | null, cores: number = cpuCount()): string | null {
  if (asked === null || asked <= MOST_PER_CORE * cores) return null;
  return (
    `${optionName("threads", asked)} on ${cores} ${cores === 1 ? "core" : "cores"}: threads beyond the cores take ` +
    "turns, which is slower; without it there are as many as cores."
  );
}
