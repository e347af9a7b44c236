import process from "node:process";
import { EXIT } from "./exit-codes.js";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs `work` so that the first interrupt calls `onFirst` and the second ends the process at once with exit code 130.
 * Afterwards signals do what they did before.
 */
export async function withInterrupts<T>(onFirst: () => void, work: Promise<T>): Promise<T> {
  let interrupted = false;
  const listener = (): void => {
    if (interrupted) process.exit(EXIT.interrupted);
    interrupted = true;
    onFirst();
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  try {
    return await work;
  } finally {
    for (const signal of SIGNALS) process.off(signal, listener);
  }
}
