import { DataError } from "../base/errors.js";

/** Bounds on work whose extent an untrusted file decides. */
export interface WorkLimits {
  /** Longest time of an answer. */
  readonly seconds: number;
  /**
   * Limit of the engine's heap: objects and texts, not array buffers. Bun and browsers have none. On Linux the process
   * as a whole has one too, which grows with this.
   */
  readonly heapMegabytes: number;
}

/** A separate process that answers questions one after another. */
export interface LimitedProcess {
  /**
   * The next message of the process; undefined if it ended in order.
   * @throws DataError that says which limit was exceeded; DeviceError if the process ends for another reason. The time
   * between an answer and the next question has no limit.
   */
  ask(question: unknown): Promise<unknown>;
  stop(): void;
}

/** A process that was started for limited work. */
export interface StartedProcess {
  /** Sends a message, and starts the timer. */
  post(message: unknown): void;
  stopTimer(): void;
  /** Rejects if the process ended for a limit or another reason. */
  readonly ended: Promise<void>;
  stop(): void;
}

/**
 * Starts a module in a separate process, which is stopped if it takes too long or too much memory. The module gives one
 * message for each that it gets. Must be stopped.
 */
export type OpenLimited<Module> = (module: Module, limits: WorkLimits) => LimitedProcess;

export function limitedWork<Module>(
  start: (module: Module, limits: WorkLimits, onMessage: (message: unknown) => void) => StartedProcess,
): OpenLimited<Module> {
  return (module, limits) => {
    type Answered = { resolve(message: unknown): void; reject(error: unknown): void };
    let waiting: Answered | undefined;
    const limited = start(module, limits, (message) => {
      limited.stopTimer();
      waiting?.resolve(message);
    });
    let fault: { readonly error: unknown } | undefined;
    let hasEnded = false;
    limited.ended.then(
      () => {
        hasEnded = true;
        waiting?.resolve(undefined);
      },
      (error) => {
        fault = { error };
        waiting?.reject(error);
      },
    );
    return {
      ask: (question) =>
        new Promise((resolve, reject) => {
          if (fault !== undefined) return reject(fault.error);
          if (hasEnded) return resolve(undefined);
          waiting = { resolve, reject };
          limited.post(question);
        }),
      stop: limited.stop,
    };
  };
}

/** A timer that rejects, to be started anew with each message. */
export function timerOf(seconds: number, reject: (reason: unknown) => void): { start(): void; stop(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => clearTimeout(timer);
  return {
    stop,
    start: () => {
      stop();
      timer = setTimeout(() => reject(new DataError(`it did not finish within ${seconds} s`)), 1000 * seconds);
    },
  };
}

export function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (reason: unknown) => void } {
  let [resolve, reject]: [() => void, (reason: unknown) => void] = [() => {}, () => {}];
  const promise = new Promise<void>((onResolve, onReject) => {
    [resolve, reject] = [onResolve, onReject];
  });
  return { promise, resolve, reject };
}
