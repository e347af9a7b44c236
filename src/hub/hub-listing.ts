import { CheckpointError, HighrankError } from "../base/errors.js";
import type { HubClient } from "./hub-client.js";
import { type HubModel, isCommit } from "./hub-name.js";
import type { HubFile } from "./model-files.js";

/** Current state of a model's revision. */
export interface Listing {
  readonly commit: string;
  /** Files at the top level. */
  readonly files: readonly HubFile[];
}

/** Limits of a listing, and of the pages in which it comes. */
const MOST_FILES = 100_000;
const MOST_REQUESTS = 200;

/**
 * Requests the commit of a revision and its files.
 * @throws CheckpointError as `HubClient.get`, and for an answer that is not the hub's.
 */
export async function listModel(client: HubClient, { name, revision }: HubModel): Promise<Listing> {
  // Loaded only when the network is used.
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  let requests = 0;
  const hub = {
    hubUrl: client.access.endpoint,
    // Our client adds the token, follows redirects, retries and explains failures.
    fetch: (url: string | URL | Request): Promise<Response> => {
      if (++requests > MOST_REQUESTS) throw client.fault("sends an endless list of files");
      return client.getWhole(url instanceof Request ? url.url : String(url));
    },
  };
  try {
    const { sha: commit } = await modelInfo({ name, revision, additionalFields: ["sha"], ...hub });
    if (!isCommit(commit)) throw client.fault("names no commit of the model");
    const files: HubFile[] = [];
    for await (const { type, path, size, oid, lfs } of listFiles({ repo: name, revision: commit, ...hub })) {
      if (type !== "file") continue;
      const hash = lfs?.oid ?? oid;
      if (!isPlainName(path) || !isHash(hash) || !Number.isSafeInteger(size) || size < 0) {
        throw client.fault(`lists an impossible file: ${JSON.stringify({ path, size, hash }).slice(0, 200)}`);
      }
      files.push({ path, size, hash });
      if (files.length > MOST_FILES) throw client.fault("sends an endless list of files");
    }
    return { commit, files };
  } catch (error) {
    if (error instanceof HighrankError) throw error;
    // The library's errors for an answer that it cannot read.
    if (error instanceof TypeError || error instanceof SyntaxError) {
      throw new CheckpointError(client.fault("gives an answer that is not the hub's").message, { cause: error });
    }
    throw error;
  }
}

/** True if the name is that of a file directly in the folder. */
function isPlainName(name: unknown): name is string {
  return typeof name === "string" && /^[^/\\\p{Control}]{1,255}$/u.test(name) && !/^\.\.?$/.test(name);
}

function isHash(hash: unknown): hash is string {
  return typeof hash === "string" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash);
}
