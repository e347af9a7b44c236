import { CheckpointError } from "../tensor/errors.js";
import type { HubAccess } from "./hub-access.js";

/** How long to try. */
export interface Patience {
  /** Requests before giving up, where the hub is overloaded, fails or cannot be reached. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; twice as many before each later one. */
  readonly firstWait: number;
  /** Milliseconds without a byte after which a connection counts as cut. */
  readonly silence: number;
}

export const PATIENCE: Patience = { attempts: 5, firstWait: 1000, silence: 60_000 };

/** The longest wait that the hub may ask for, in milliseconds. */
const LONGEST_WAIT = 60_000;
const MOST_REDIRECTS = 8;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** A connection that was cut, or never made: worth another attempt. */
export class ConnectionFault extends Error {}

/** The hub cannot be reached, in spite of some patience. */
export class UnreachableError extends CheckpointError {}

/** Asks the hub for things of one model. */
export class HubClient {
  readonly access: HubAccess;
  readonly patience: Patience;
  /** The model in words, for messages. */
  readonly #model: string;

  constructor(model: string, access: HubAccess, patience: Patience = PATIENCE) {
    this.#model = model;
    this.access = access;
    this.patience = patience;
  }

  /**
   * The answer to a GET, its redirects followed. The token goes to the endpoint alone.
   * @throws CheckpointError that says what to do, where the hub refuses, and where it cannot be reached in spite of some patience.
   */
  async get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const { attempts } = this.patience;
    for (let attempt = 1; ; attempt++) {
      let response: Response;
      try {
        response = await this.#follow(url, headers);
      } catch (error) {
        if (!(error instanceof ConnectionFault)) throw error;
        if (attempt >= attempts) throw this.unreachable(error);
        await this.wait(attempt);
        continue;
      }
      if (response.ok || response.status === 416) return response;
      await response.body?.cancel().catch(() => {});
      const asked = 1000 * Number(response.headers.get("retry-after") ?? 0);
      const isTransient = response.status === 429 || response.status >= 500;
      if (!isTransient || attempt >= attempts || asked > LONGEST_WAIT) throw this.#refusal(response);
      await this.wait(attempt, asked);
    }
  }

  /** Waits before the attempt after this one, at least as long as the hub asked for. */
  wait(attempt: number, asked = 0): Promise<void> {
    const milliseconds = Math.max(Number.isFinite(asked) ? asked : 0, this.patience.firstWait * 2 ** (attempt - 1));
    return new Promise((resolve) => setTimeout(resolve, Math.min(milliseconds, LONGEST_WAIT)));
  }

  /** The bytes of an answer as they come. @throws ConnectionFault where they end too soon. */
  async *chunks(response: Response): AsyncGenerator<Uint8Array, void> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    try {
      for (;;) {
        const { done, value } = await this.#inTime(reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      // Also where nobody wants the rest.
      await reader.cancel().catch(() => {});
    }
  }

  /** What to say when the hub does not answer. */
  unreachable({ message }: ConnectionFault): UnreachableError {
    return new UnreachableError(
      `${this.#model}: cannot reach ${this.access.endpoint} (${message}); check the network and HF_ENDPOINT and try again, or use ` +
        "a local folder",
    );
  }

  async #follow(start: string, headers: Readonly<Record<string, string>>): Promise<Response> {
    const { endpoint, token } = this.access;
    const { origin } = new URL(endpoint);
    let url = new URL(start);
    let trusted = true;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      // Once outside, never again: who sends us back knows where.
      trusted &&= url.origin === origin;
      const response = await this.#fetch(url, {
        ...headers,
        // Sizes and ranges are those of the files.
        "accept-encoding": "identity",
        ...(trusted && token !== undefined && { authorization: `Bearer ${token}` }),
      });
      const location = response.headers.get("location");
      if (!REDIRECTS.includes(response.status) || location === null) return response;
      await response.body?.cancel().catch(() => {});
      if (!URL.canParse(location, url.href)) throw this.fault("redirects to what is no address");
      const next = new URL(location, url);
      if (!/^https?:$/.test(next.protocol) || (url.protocol === "https:" && next.protocol === "http:")) {
        throw this.fault(`redirects to an address that is not safe, at ${next.host}`);
      }
      url = next;
    }
    throw this.fault("redirects in a circle");
  }

  async #fetch(url: URL, headers: Readonly<Record<string, string>>): Promise<Response> {
    const abort = new AbortController();
    const answer = fetch(url, { headers, redirect: "manual", signal: abort.signal });
    return this.#inTime(answer, () => abort.abort());
  }

  /** @throws ConnectionFault after too long a silence, and for what goes wrong meanwhile. */
  async #inTime<T>(work: Promise<T>, onTimeout = (): void => {}): Promise<T> {
    const { silence } = this.patience;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new ConnectionFault(`no byte came for ${silence / 1000} s`));
        onTimeout();
      }, silence);
    });
    try {
      return await Promise.race([work, timeout]);
    } catch (error) {
      throw connectionFault(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** An answer that makes no sense. */
  fault(what: string): CheckpointError {
    return new CheckpointError(
      `${this.#model}: ${this.access.endpoint} ${what}; check HF_ENDPOINT, or try again later`,
    );
  }

  #refusal({ status, headers }: Response): CheckpointError {
    const { endpoint, token } = this.access;
    const code = headers.get("x-error-code") ?? "";
    const says = `${this.#model}: ${endpoint} answers ${status}`;
    const [name] = this.#model.split("@") as [string];
    if (code === "GatedRepo") {
      const who =
        token === undefined ? "set HF_TOKEN to a token of an account that has" : "do so with the account of your token";
      return new CheckpointError(`${says}: its terms must be accepted at ${endpoint}/${name}; ${who}`);
    }
    if (code === "RevisionNotFound") {
      return new CheckpointError(`${says}: the model has no such revision; see ${endpoint}/${name} for those it has`);
    }
    if (code === "EntryNotFound") return new CheckpointError(`${says}: a file is gone; try again`);
    if (status === 401 || status === 403 || status === 404) {
      const access =
        token === undefined
          ? "if it is private, set HF_TOKEN to a token that may read it"
          : "if it is private, see that the token is valid and may read it";
      return new CheckpointError(
        `${says}: there is no such model, or none that you may read, nor a local folder of that name; check the name; ${access}`,
      );
    }
    if (status === 429) return new CheckpointError(`${says}: too many requests; wait some minutes and try again`);
    return new CheckpointError(`${says}; try again later: what has been downloaded is kept`);
  }
}

/** What `fetch` and streams throw, in a word; they hide the reason in causes. */
function connectionFault(error: unknown): unknown {
  if (error instanceof ConnectionFault || !(error instanceof Error)) return error;
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return new ConnectionFault(code || (cause instanceof Error ? cause.message : error.message));
}
