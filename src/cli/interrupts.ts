import process from "node:process";
import { EXIT } from "./exit-codes.js";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs `work` so that the first interrupt asks `onFirst` whether to wait for it, and the second ends the process at once
 * with exit code 130. Afterwards signals do what they did before.
 */
export async function withInterrupts<T>(onFirst: () => "wait" | "quit", work: Promise<T>): Promise<T> {
  let interrupted = false;
  const listener = (): void => {
    if (interrupted || onFirst() === "quit") process.exit(EXIT.interrupted);
    interrupted = true;
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  try {
    return await work;
  } finally {
    for (const signal of SIGNALS) process.off(signal, listener);
  }
}
