import { CheckpointError, HighrankError } from "../base/errors.js";
import { ADDITIONAL_TEMPLATES } from "../tokenizers/stored-templates.js";
import type { HubClient } from "./hub-client.js";
import { type HubRepository, isCommit, REPOSITORY_KINDS, type RepositoryKind } from "./hub-name.js";
import type { HubFile } from "./model-files.js";

/** Current state of a repository's revision. */
export interface Listing {
  readonly commit: string;
  /** The files: of a model those at the top level and in the folder of chat templates, of a data set all. */
  readonly files: readonly HubFile[];
}

/** Limits of a listing, and of the pages in which it comes. */
const MOST_FILES = 100_000;
const MOST_REQUESTS = 200;

/**
 * Requests the commit of a revision and its files.
 * @throws CheckpointError as `HubClient.get`, and for an answer that is not the hub's.
 */
export async function listRepository(
  client: HubClient,
  { name, revision }: HubRepository,
  kind: RepositoryKind,
): Promise<Listing> {
  // Loaded only when the network is used.
  const { datasetInfo, listFiles, modelInfo } = await import("@huggingface/hub");
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
    const wanted = { name, revision, ...hub };
    const { sha: commit } = await (kind === "model"
      ? modelInfo({ ...wanted, additionalFields: ["sha"] })
      : datasetInfo({ ...wanted, additionalFields: ["sha"] }));
    if (!isCommit(commit)) throw client.fault(`names no commit of the ${REPOSITORY_KINDS[kind].noun}`);
    const files: HubFile[] = [];
    const list = async (folder?: string): Promise<boolean> => {
      let hasTemplates = false;
      const place = {
        repo: { type: kind, name },
        revision: commit,
        recursive: kind === "dataset",
        ...(folder !== undefined && { path: folder }),
      };
      for await (const { type, path, size, oid, lfs } of listFiles({ ...place, ...hub })) {
        if (type !== "file") {
          hasTemplates ||= path === ADDITIONAL_TEMPLATES;
          continue;
        }
        const hash = lfs?.oid ?? oid;
        const isPlace = kind === "dataset" ? isPlainPath(path) : isNameIn(folder, path);
        if (!isPlace || !isHash(hash) || !Number.isSafeInteger(size) || size < 0) {
          throw client.fault(`lists an impossible file: ${JSON.stringify({ path, size, hash }).slice(0, 200)}`);
        }
        files.push({ path, size, hash });
        if (files.length > MOST_FILES) throw client.fault("sends an endless list of files");
      }
      return hasTemplates;
    };
    if ((await list()) && kind === "model") await list(ADDITIONAL_TEMPLATES);
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

/** True if the path is that of a file directly in the folder, or in the model's own. */
function isNameIn(folder: string | undefined, path: unknown): path is string {
  if (typeof path !== "string") return false;
  if (folder !== undefined) return path.startsWith(`${folder}/`) && isNameIn(undefined, path.slice(folder.length + 1));
  return isPlainName(path);
}

function isPlainPath(path: unknown): path is string {
  return typeof path === "string" && path.split("/").every(isPlainName);
}

function isPlainName(name: string): boolean {
  return /^[^/\\\p{Control}]{1,255}$/u.test(name) && !/^\.\.?$/.test(name);
}

function isHash(hash: unknown): hash is string {
  return typeof hash === "string" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash);
}
