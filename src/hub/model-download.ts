import { listFiles, modelInfo } from "@huggingface/hub";
import { acquireLock, exists, freeDiskBytes, joinPath, makeFolder } from "#platform";
import { readJsonObject } from "../checkpoints/json-file.js";
import { CheckpointError, HighrankError } from "../tensor/errors.js";
import { downloadFile } from "./file-download.js";
import { type HubAccess, hubAccess } from "./hub-access.js";
import { CachedModel, isCommit } from "./hub-cache.js";
import { type HubModel, parseHubName } from "./hub-name.js";
import { ConnectionFault, HubClient, type Patience, UnreachableError } from "./hub-request.js";
import { type HubFile, selectFiles, shardFiles } from "./model-files.js";

/** How far a download is. */
export interface DownloadProgress {
  /** The file that comes now. */
  readonly file: string;
  /** Of all files that were missing, in bytes. */
  readonly done: number;
  readonly total: number;
}

export interface DownloadOptions {
  /** Default: what the environment says. */
  readonly access?: HubAccess;
  readonly patience?: Patience;
  /** Hears what comes, often; nothing where all files are there. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Hears what is to be said. */
  readonly onNotice?: (text: string) => void;
}

/** Room that a download leaves on the disk, in bytes. */
const SPARE_BYTES = 2 ** 26;

/**
 * The folder of a model of the Hugging Face hub, `organisation/name` or `organisation/name@revision`: a snapshot in the cache that
 * Python's huggingface_hub shares. What of it is missing is downloaded: safetensors, config and tokenizer, nothing else; interrupted
 * downloads go on. Offline, or where the hub cannot be reached, what the revision was when it was last asked for.
 * @throws CheckpointError saying what the hub, the network or the disk refuses; ConfigError for what is no name, and while another
 * process downloads the same model.
 */
export async function downloadModel(name: string, options: DownloadOptions = {}): Promise<string> {
  const { access = await hubAccess(), patience, onProgress, onNotice } = options;
  const model = parseHubName(name);
  if (model === undefined) {
    throw new CheckpointError(`${name}: must be a name of the hub, organisation/name or organisation/name@revision`);
  }
  const cached = new CachedModel(access.cacheFolder, model);
  if (access.offline) {
    const known = await knownSnapshot(cached);
    if (known !== undefined) return known;
    throw new CheckpointError(
      `${name}: there is no local folder of that name, ${access.cacheFolder} has no such model, and HF_HUB_OFFLINE forbids to ask the ` +
        "hub; check the name, or unset HF_HUB_OFFLINE",
    );
  }
  const client = new HubClient(name, access, patience);
  let now: Listing;
  try {
    now = await listed(client, model);
  } catch (error) {
    const known = error instanceof UnreachableError ? await knownSnapshot(cached) : undefined;
    if (known === undefined) throw error;
    onNotice?.(`cannot reach ${access.endpoint}; taking ${name} as it was when it was last asked for`);
    return known;
  }
  const { commit, files } = now;
  await makeFolder(cached.lockFolder);
  const lock = await acquireLock(joinPath(cached.lockFolder, "highrank.lock"));
  try {
    await fetchSelected({ client, model, cached, commit, onProgress }, name, files);
    await cached.rememberCommit(commit);
  } finally {
    await lock.release();
  }
  return cached.snapshot(commit);
}

/** What was downloaded earlier; undefined where that is nothing. */
async function knownSnapshot(cached: CachedModel): Promise<string | undefined> {
  const commit = await cached.knownCommit();
  return commit !== undefined && (await exists(cached.snapshot(commit))) ? cached.snapshot(commit) : undefined;
}

interface Listing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** What the revision is now, and the files at its top. */
async function listed(client: HubClient, { name, revision }: HubModel): Promise<Listing> {
  const hub = {
    hubUrl: client.access.endpoint,
    // Ours adds the token, follows redirects and says what is wrong.
    fetch: (url: string | URL | Request) => client.get(url instanceof Request ? url.url : String(url)),
  };
  try {
    const { sha: commit } = await modelInfo({ name, revision, additionalFields: ["sha"], ...hub });
    if (!isCommit(commit)) throw client.fault("names no commit of the model");
    const files: HubFile[] = [];
    for await (const { type, path, size, oid, lfs } of listFiles({ repo: name, revision: commit, ...hub })) {
      const hash = lfs?.oid ?? oid ?? "";
      if (type !== "file") continue;
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) || !Number.isSafeInteger(size) || size < 0) {
        throw client.fault("lists files without hash or size");
      }
      files.push({ path, size, hash });
    }
    return { commit, files };
  } catch (error) {
    if (error instanceof HighrankError) throw error;
    // The library's, about answers that it cannot read.
    if (error instanceof ConnectionFault || error instanceof TypeError || error instanceof SyntaxError) {
      throw client.fault("gives an answer that is none of the hub's");
    }
    throw error;
  }
}

interface Fetching {
  readonly client: HubClient;
  readonly model: HubModel;
  readonly cached: CachedModel;
  readonly commit: string;
  readonly onProgress: DownloadOptions["onProgress"];
}

async function fetchSelected(fetching: Fetching, name: string, listed: readonly HubFile[]): Promise<void> {
  const { cached, commit } = fetching;
  const { files, index } = selectFiles(name, listed);
  if (index === undefined) return fetchFiles(fetching, files);
  await fetchFiles({ ...fetching, onProgress: undefined }, [index]);
  const shards = shardFiles(name, await readJsonObject(joinPath(cached.snapshot(commit), index.path)), listed);
  await fetchFiles(fetching, [...files, ...shards]);
}

/** Brings files into the snapshot, one after another. */
async function fetchFiles(
  { client, model, cached, commit, onProgress }: Fetching,
  files: readonly HubFile[],
): Promise<void> {
  const missing: HubFile[] = [];
  for (const file of files) if (!(await cached.has(commit, file.path, file.size))) missing.push(file);
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  await makeFolder(joinPath(cached.folder, "blobs"));
  const free = await freeDiskBytes(cached.folder);
  if (free < total + SPARE_BYTES) {
    throw new CheckpointError(
      `${model.name}: takes ${total} bytes in ${cached.folder}, where ${free} are free; free some space, or set HF_HUB_CACHE`,
    );
  }
  let before = 0;
  for (const file of missing) {
    const { path, size, hash } = file;
    const report = (bytes: number): void => onProgress?.({ file: path, done: before + bytes, total });
    const blob = cached.blob(hash);
    const url = `${client.access.endpoint}/${model.name}/resolve/${commit}/${encodeURIComponent(path)}`;
    report(0);
    if (!(await exists(blob))) await downloadFile(client, url, file, blob, report);
    await cached.link(commit, path, hash);
    before += size;
  }
}
