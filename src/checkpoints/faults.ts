import { CheckpointError } from "../tensor/errors.js";

const SHOWN = 20;

/** One CheckpointError for all that is wrong at one place; the first twenty are spelled out. */
export function checkpointFault(where: string, faults: readonly string[]): CheckpointError {
  if (faults.length === 1) return new CheckpointError(`${where}: ${faults[0]}`);
  const more = faults.length > SHOWN ? [`and ${faults.length - SHOWN} more`] : [];
  const lines = [...faults.slice(0, SHOWN), ...more].map((fault) => `\n  - ${fault}`);
  return new CheckpointError(`${where}: ${faults.length} faults${lines.join("")}`);
}
