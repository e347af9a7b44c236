import process from "node:process";
import { EXIT, type ExitCode } from "./exit-codes.js";

/** Exit codes by signal, as shells have it. */
const SIGNALS = {
  SIGINT: EXIT.interrupted,
  SIGQUIT: EXIT.quit,
  SIGTERM: EXIT.terminated,
  SIGHUP: EXIT.hungUp,
  // Job managers send it some time before they end a job.
  SIGUSR1: EXIT.user,
} as const;

/**
 * Runs `work` so that the first interrupt asks `onFirst` whether to wait for it, and the second ends the process at
 * once with the exit code of its signal. Afterwards signals do what they did before.
 * @param onFirst hears the exit code to end with.
 */
export async function withInterrupts<T>(onFirst: (code: ExitCode) => "wait" | "quit", work: Promise<T>): Promise<T> {
  let interrupted = false;
  const listeners = Object.entries(SIGNALS).map(([signal, code]) => {
    const listener = (): void => {
      if (interrupted || onFirst(code) === "quit") process.exit(code);
      interrupted = true;
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  try {
    return await work;
  } finally {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  }
}
