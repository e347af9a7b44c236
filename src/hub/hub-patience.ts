/** Limits of retrying. */
export interface Patience {
  /** Consecutive requests without any data, if the hub is overloaded, fails or cannot be reached. */
  readonly attempts: number;
  /** Milliseconds before the second attempt, doubled before each later one. */
  readonly firstWait: number;
  /** Milliseconds without a byte after which a connection counts as cut. */
  readonly silence: number;
}

export const PATIENCE: Patience = { attempts: 5, firstWait: 500, silence: 60_000 };

/** The longest wait that the hub may ask for, in milliseconds. */
const LONGEST_WAIT = 60_000;

/** A connection that was cut or never made, or a busy hub: worth another attempt. */
export class ConnectionFault extends Error {
  /** Wait that the hub asks for, in milliseconds. */
  readonly asked: number;

  constructor(message: string, asked = 0) {
    super(message);
    this.asked = Number.isFinite(asked) ? asked : 0;
  }
}

/** The fault of an answer of a hub that is busy or fails; undefined for any other answer. */
export function troubleOf({ status, headers }: Response): ConnectionFault | undefined {
  if (status !== 429 && status < 500) return undefined;
  const what = status === 429 ? "too many requests" : "the hub has trouble";
  return new ConnectionFault(`${what} (${status})`, 1000 * Number(headers.get("retry-after") ?? 0));
}

/** Waits before the attempt after this one; false after the last attempt. `say` hears of it. */
export async function waitAgain(
  attempt: number,
  fault: ConnectionFault,
  { attempts, firstWait }: Patience,
  say: (text: string) => void,
): Promise<boolean> {
  if (attempt >= attempts || fault.asked > LONGEST_WAIT) return false;
  const milliseconds = Math.min(Math.max(fault.asked, firstWait * 2 ** (attempt - 1)), LONGEST_WAIT);
  // A single cut of a connection is too common to report.
  if (attempt > 1 || fault.asked > 0) say(`${fault.message}; trying again in ${milliseconds / 1000} s`);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return true;
}

/**
 * The result of work on a connection.
 * @param isAlive asked when the time is up: true lets the work go on as long again.
 * @throws ConnectionFault after so many milliseconds of silence, and for failures of the connection.
 */
export async function inTime<T>(
  work: Promise<T>,
  silence: number,
  onTimeout = (): void => {},
  isAlive = (): boolean => false,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const wait = (): void => {
      timer = setTimeout(() => {
        if (isAlive()) return wait();
        reject(new ConnectionFault(`no byte came for ${silence / 1000} s`));
        onTimeout();
      }, silence);
    };
    wait();
  });
  try {
    return await Promise.race([work, timeout]);
  } catch (error) {
    throw connectionFault(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Turns an error of `fetch` or a stream into a ConnectionFault with its reason, which they hide in causes. */
function connectionFault(error: unknown): unknown {
  if (error instanceof ConnectionFault || !(error instanceof Error)) return error;
  const reason = error.cause instanceof Error ? error.cause : error;
  const code = "code" in reason ? String(reason.code) : "";
  // Codes of the operating system, such as ECONNREFUSED and ENOTFOUND; others are the library's own.
  return new ConnectionFault(/^E[A-Z_]+$/.test(code) ? code : reason.message);
}
