import { CheckpointError } from "../base/errors.js";
import { shortened } from "../base/json.js";

const SHOWN = 20;
const SHOWN_LENGTH = 300;

/** One error for all faults at one place; the first twenty are spelled out, each in at most 300 characters. */
export function checkpointFault(
  where: string,
  faults: readonly string[],
  Fault: typeof CheckpointError = CheckpointError,
): CheckpointError {
  if (faults.length === 1) return new Fault(`${where}: ${shortened(faults[0]!, 3 * SHOWN_LENGTH)}`);
  const more = faults.length > SHOWN ? [`and ${faults.length - SHOWN} more`] : [];
  const lines = [...faults.slice(0, SHOWN), ...more].map((fault) => `\n  - ${shortened(fault, SHOWN_LENGTH)}`);
  return new Fault(`${where}: ${faults.length} faults${lines.join("")}`);
}
