import { type ErrorParts, putTogether, takeApart } from "../base/error-parts.js";
import type { Collective } from "./collective.js";

/** The outcome of work that one rank does for all. */
type Outcome = { readonly value?: unknown } | { readonly error: ErrorParts };

/**
 * Does work on rank 0, once all ranks have come so far, and gives its result to all of them. If it fails, it fails for
 * all.
 * @param work gives a value that JSON can hold, or nothing.
 */
export async function onFirst<T>(ranks: Collective, work: () => Promise<T>): Promise<T> {
  if (ranks.size === 1) return work();
  await ranks.barrier();
  if (ranks.rank > 0) return valueIn<T>(parse(await ranks.broadcast(new Uint8Array())));
  let failure: unknown;
  const outcome = await work().then(
    (value): Outcome => ({ value }),
    (error): Outcome => {
      failure = error;
      return { error: takeApart(error) };
    },
  );
  await ranks.broadcast(new TextEncoder().encode(JSON.stringify(outcome)));
  // The first rank has the error itself.
  if (failure !== undefined) throw failure;
  return valueIn<T>(outcome);
}

/** True where any rank says so, on all of them. */
export async function onAnyRank(ranks: Collective, isSo: boolean): Promise<boolean> {
  const count = Float64Array.of(isSo ? 1 : 0);
  await ranks.sum(count);
  return count[0]! > 0;
}

function parse(bytes: Uint8Array): Outcome {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function valueIn<T>(outcome: Outcome): T {
  if ("error" in outcome) throw putTogether(outcome.error);
  return outcome.value as T;
}
