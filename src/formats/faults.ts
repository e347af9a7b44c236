import { CheckpointError } from "../base/errors.js";
import { shortened } from "../base/json.js";

const SHOWN = 20;
const SHOWN_LENGTH = 300;

/** One CheckpointError for all that is wrong at one place; the first twenty are spelled out, each in 300 characters. */
export function checkpointFault(where: string, faults: readonly string[]): CheckpointError {
  if (faults.length === 1) return new CheckpointError(`${where}: ${shortened(faults[0]!, 3 * SHOWN_LENGTH)}`);
  const more = faults.length > SHOWN ? [`and ${faults.length - SHOWN} more`] : [];
  const lines = [...faults.slice(0, SHOWN), ...more].map((fault) => `\n  - ${shortened(fault, SHOWN_LENGTH)}`);
  return new CheckpointError(`${where}: ${faults.length} faults${lines.join("")}`);
}
