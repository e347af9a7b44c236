import { CheckpointError, ConfigError, type HighrankError } from "../base/errors.js";
import { shortened } from "../base/json.js";
import type { HubAccess } from "./hub-access.js";
import { ConnectionFault, inTime, type Patience, troubleOf, waitAgain } from "./hub-patience.js";

/** The library's note beside a request that carries content. */
interface ProgressHint {
  readonly path: string;
}

/** What a sender tells of its work. */
export interface SenderEvents {
  /** Called with the bytes of a file as they leave; negative where an attempt has failed and they leave again. */
  readonly onBytes: (path: string, bytes: number) => void;
  readonly onNotice: (text: string) => void;
}

/** Sends the hub what changes a repository. The token goes only to the endpoint, and into no message. */
export class HubSender {
  readonly #name: string;
  readonly #access: HubAccess;
  readonly #patience: Patience;
  readonly #events: SenderEvents;

  constructor(name: string, access: HubAccess, patience: Patience, events: SenderEvents) {
    this.#name = name;
    this.#access = access;
    this.#patience = patience;
    this.#events = events;
  }

  /**
   * A `fetch` for the hub's library: adds the token, tries again after faults of the connection, explains refusals.
   * @param status an answer that passes, because its meaning depends on the request.
   * @throws CheckpointError or ConfigError with the way out.
   */
  fetchPassing(status: 404 | 409): typeof fetch {
    return (input, init = {}) => this.#fetch(input, init, status);
  }

  async #fetch(input: string | URL | Request, init: RequestInit, passing: number): Promise<Response> {
    const url = new URL(input instanceof Request ? input.url : input);
    const { endpoint } = this.#access;
    const say = (text: string): void => this.#events.onNotice(`${endpoint}: ${text}`);
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#send(url, init);
        const trouble = troubleOf(response);
        if (trouble !== undefined) throw trouble;
        if (response.ok || response.status === passing) return response;
        throw await this.#refusal(url, response);
      } catch (error) {
        if (!(error instanceof ConnectionFault)) throw error;
        if (!(await waitAgain(attempt, error, this.#patience, say))) throw this.#unreachable(error);
      }
    }
  }

  async #send(url: URL, init: RequestInit & { readonly progressHint?: ProgressHint }): Promise<Response> {
    const { body, progressHint, headers: given, signal: _, ...rest } = init;
    const headers = new Headers(given);
    const { endpoint, token } = this.#access;
    headers.delete("authorization");
    if (url.origin === new URL(endpoint).origin) headers.set("authorization", `Bearer ${token}`);
    const abort = new AbortController();
    let [sent, looked] = [0, 0];
    const count = (bytes: number): void => {
      sent += bytes;
      if (progressHint !== undefined) this.#events.onBytes(progressHint.path, bytes);
    };
    const counted = body instanceof Blob ? new CountedBlob(body, count) : body;
    const answer = fetch(url, {
      ...rest,
      ...(counted !== undefined && { body: counted }),
      headers,
      redirect: "manual",
      signal: abort.signal,
    });
    const isAlive = (): boolean => {
      const [before, now] = [looked, sent];
      looked = now;
      return now > before;
    };
    try {
      const response = await inTime(answer, this.#patience.silence, () => abort.abort(), isAlive);
      if (troubleOf(response) !== undefined) count(-sent);
      return response;
    } catch (error) {
      count(-sent);
      throw error;
    }
  }

  #unreachable(fault: ConnectionFault): CheckpointError {
    return new CheckpointError(
      `${this.#name}: cannot be sent to ${this.#access.endpoint} (${fault.message}); check the network and HF_ENDPOINT ` +
        "and push again: files that the hub has whole are not sent again",
      { cause: fault },
    );
  }

  async #refusal(url: URL, response: Response): Promise<HighrankError> {
    const { endpoint, token } = this.#access;
    // The address of an upload holds a signature.
    const isHub = url.origin === new URL(endpoint).origin;
    const says = `${this.#name}: ${isHub ? endpoint : url.origin} answers ${response.status}`;
    const words = (await reasonOf(response)).replaceAll(token ?? "\0", "…");
    const reason = words === "" ? "" : ` (${words})`;
    if (!isHub) return new CheckpointError(`${says} to the content of a file${reason}; push again`);
    switch (response.status) {
      case 401:
        return new ConfigError(
          `${says}${reason}: the token is not valid; set HF_TOKEN to one of ${endpoint}/settings/tokens, or log in with hf auth login`,
        );
      case 403:
        return new ConfigError(
          `${says}${reason}: the token may not write there; make one with the right to write at ` +
            `${endpoint}/settings/tokens, or name a repository of your own or of an organisation of yours`,
        );
      case 404:
        return new ConfigError(
          `${says}${reason}: there is no such place, or none that the token may see; check the name and HF_ENDPOINT`,
        );
      default:
        return new CheckpointError(`${says}${reason}; nothing was committed`);
    }
  }
}

/** The hub's own words for a refusal, on one line; empty if there are none. */
async function reasonOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  try {
    const { error, message } = JSON.parse(text) as { error?: unknown; message?: unknown };
    const said = error ?? message;
    return typeof said === "string" ? shortened(said.replace(/[\p{Control}\s]+/gu, " "), 300) : "";
  } catch {
    return "";
  }
}

/** A blob that tells of its bytes as they are read. */
class CountedBlob extends Blob {
  readonly #blob: Blob;
  readonly #onBytes: (bytes: number) => void;

  constructor(blob: Blob, onBytes: (bytes: number) => void) {
    super([]);
    Object.defineProperty(this, "size", { value: blob.size });
    this.#blob = blob;
    this.#onBytes = onBytes;
  }

  override stream(): ReturnType<Blob["stream"]> {
    const count = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (chunk, controller) => {
        this.#onBytes(chunk.length);
        controller.enqueue(chunk);
      },
    });
    return this.#blob.stream().pipeThrough(count);
  }
}
