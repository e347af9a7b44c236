import { createContext, Script } from "node:vm";
import { DataError } from "../base/errors.js";

const context: { call?: () => unknown } = createContext({});
const script = new Script("call()");

/**
 * Calls a synchronous function and stops it after so many seconds, wherever it is, even in a regular expression. Costs
 * about a tenth of a millisecond.
 * @throws DataError if it takes longer.
 */
export function withTimeLimit<T>(seconds: number, call: () => T): T {
  context.call = call;
  try {
    return script.runInContext(context, { timeout: Math.ceil(seconds * 1000) }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    throw new DataError(`it did not finish within ${Math.ceil(seconds)} s`, { cause: error });
  }
}
