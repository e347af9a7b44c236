import { CheckpointError } from "../base/errors.js";
import type { HubAccess } from "./hub-access.js";
import { REPOSITORY_KINDS, type RepositoryKind } from "./hub-name.js";
import { ConnectionFault, inTime, PATIENCE, type Patience, troubleOf, waitAgain } from "./hub-patience.js";

const MOST_REDIRECTS = 8;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** Longest answer that is read whole. */
const MOST_CHARACTERS = 50_000_000;

/** Headers of a request. */
type Headers = Readonly<Record<string, string>>;

/** Sends the hub requests for one repository. */
export class HubClient {
  readonly access: HubAccess;
  /** Name of the repository, for messages. */
  readonly #name: string;
  readonly #kind: RepositoryKind;
  readonly #patience: Patience;
  readonly #onNotice: (text: string) => void;

  constructor(
    name: string,
    access: HubAccess,
    onNotice: (text: string) => void = () => {},
    patience: Patience = PATIENCE,
    kind: RepositoryKind = "model",
  ) {
    this.#name = name;
    this.#kind = kind;
    this.access = access;
    this.#onNotice = onNotice;
    this.#patience = patience;
  }

  /**
   * Sends a GET and follows its redirects. The body of the response is still to be read. The token goes only to the
   * endpoint.
   * @throws CheckpointError with the way out if the hub refuses, or cannot be reached within the limits of patience.
   */
  get(url: string, headers: Headers = {}): Promise<Response> {
    return this.#patiently(() => this.#ask(url, headers));
  }

  /** Like `get`, with the body, a text, in memory. */
  getWhole(url: string): Promise<Response> {
    return this.#patiently(async () => {
      const response = await this.#ask(url, {});
      const decoder = new TextDecoder();
      let text = "";
      for await (const chunk of this.chunks(response)) {
        text += decoder.decode(chunk, { stream: true });
        if (text.length > MOST_CHARACTERS) throw this.fault("sends an endless answer");
      }
      return new Response(text + decoder.decode(), { headers: response.headers });
    });
  }

  /** The bytes of a response as they arrive. @throws ConnectionFault if they end too soon. */
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
      // Also cancels if the consumer stops early.
      await reader.cancel().catch(() => {});
    }
  }

  /**
   * Waits before the attempt after this one.
   * @throws CheckpointError, with the fault as its cause, after the last attempt.
   */
  async pause(attempt: number, fault: ConnectionFault): Promise<void> {
    const say = (text: string): void => this.#onNotice(`${this.access.endpoint}: ${text}`);
    if (!(await waitAgain(attempt, fault, this.#patience, say))) throw this.#unreachable(fault);
  }

  /** The error for an answer that makes no sense. */
  fault(what: string): CheckpointError {
    return new CheckpointError(`${this.#name}: ${this.access.endpoint} ${what}; check HF_ENDPOINT, or try again later`);
  }

  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ConnectionFault)) throw error;
        await this.pause(attempt, error);
      }
    }
  }

  async #ask(url: string, headers: Headers): Promise<Response> {
    const response = await this.#follow(url, headers);
    const { ok, status } = response;
    // 416: the requested range does not exist.
    if (ok || status === 416) return response;
    await response.body?.cancel().catch(() => {});
    const trouble = troubleOf(response);
    if (trouble !== undefined) throw trouble;
    throw this.#refusal(response);
  }

  async #follow(start: string, headers: Headers): Promise<Response> {
    const { endpoint, token } = this.access;
    const { origin } = new URL(endpoint);
    let url = new URL(start);
    let trusted = true;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      // Never trusted again after a redirect outside: the other host chose the address.
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
      if (!URL.canParse(location, url.href)) throw this.fault("redirects to an invalid address");
      const next = new URL(location, url);
      if (!/^https?:$/.test(next.protocol) || (url.protocol === "https:" && next.protocol === "http:")) {
        throw this.fault(`redirects to an address that is not safe, at ${next.host}`);
      }
      url = next;
    }
    throw this.fault("redirects in a circle");
  }

  async #fetch(url: URL, headers: Headers): Promise<Response> {
    const abort = new AbortController();
    const answer = fetch(url, { headers, redirect: "manual", signal: abort.signal });
    return this.#inTime(answer, () => abort.abort());
  }

  #inTime<T>(work: Promise<T>, onTimeout?: () => void): Promise<T> {
    return inTime(work, this.#patience.silence, onTimeout);
  }

  #unreachable(fault: ConnectionFault): CheckpointError {
    return new CheckpointError(
      `${this.#name}: cannot be downloaded from ${this.access.endpoint} (${fault.message}), ` +
        `and there is no local ${REPOSITORY_KINDS[this.#kind].local} of that name; ` +
        "check the name, the network and HF_ENDPOINT and try again: what has been downloaded is kept",
      { cause: fault },
    );
  }

  #refusal({ status, headers }: Response): CheckpointError {
    const { endpoint, token } = this.access;
    const code = headers.get("x-error-code") ?? "";
    const says = `${this.#name}: ${endpoint} answers ${status}`;
    const { noun, local, path } = REPOSITORY_KINDS[this.#kind];
    const page = `${endpoint}/${path}${this.#name.split("@")[0]!}`;
    if (code === "GatedRepo") {
      const who =
        token === undefined ? "set HF_TOKEN to a token of an account that has" : "do so with the account of your token";
      return new CheckpointError(`${says}: its terms must be accepted at ${page}; ${who}`);
    }
    if (code === "RevisionNotFound") {
      return new CheckpointError(`${says}: the ${noun} has no such revision; see ${page} for those it has`);
    }
    if (code === "EntryNotFound") return new CheckpointError(`${says}: a file is gone; try again`);
    const access =
      token === undefined
        ? "if it is private, set HF_TOKEN to a token that may read it"
        : "if it is private, see that the token is valid and may read it";
    return new CheckpointError(
      `${says}: there is no such ${noun}, or none that you may read, nor a local ${local} of that name; ` +
        `check the name; ${access}`,
    );
  }
}
