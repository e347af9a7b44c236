import process from "node:process";
import { onWriting, removeUnfinished } from "#platform";
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

/** Hears each of the signals, until the function that it returns is called. */
function onSignals(hear: (code: ExitCode) => void): () => void {
  const listeners = Object.entries(SIGNALS).map(([signal, code]) => [signal, () => hear(code)] as const);
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/**
 * Runs `work` so that the first interrupt asks `onFirst` whether to wait for it, and the second ends the process at
 * once with the exit code of its signal. Afterwards signals do what they did before.
 * @param onFirst hears the exit code to end with.
 */
export async function withInterrupts<T>(onFirst: (code: ExitCode) => "wait" | "quit", work: Promise<T>): Promise<T> {
  let interrupted = false;
  const off = onSignals((code) => {
    if (interrupted || onFirst(code) === "quit") process.exit(code);
    interrupted = true;
  });
  return work.finally(off);
}

/**
 * Runs `work` so that an interrupt while it writes removes what is not whole yet, and ends the process with the exit
 * code of its signal. At other times signals do what they did before, so that long computing does not hold them up.
 */
export async function withoutLeftovers<T>(work: () => Promise<T>): Promise<T> {
  let off = (): void => {};
  const unheard = onWriting((isWriting) => {
    off();
    if (!isWriting) return;
    off = onSignals((code) => {
      removeUnfinished();
      process.exit(code);
    });
  });
  return work().finally(() => {
    unheard();
    off();
  });
}
