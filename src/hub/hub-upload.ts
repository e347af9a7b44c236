import { fileUrl, gitBlobHash, sha256File } from "#platform";
import { CheckpointError, ConfigError, HighrankError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { sum } from "../base/numbers.js";
import { type HubAccess, hubAccess } from "./hub-access.js";
import type { DownloadProgress } from "./hub-download.js";
import { isCommit } from "./hub-name.js";
import { PATIENCE, type Patience } from "./hub-patience.js";
import { HubSender } from "./hub-sender.js";

/** A file of a model to be sent. */
export interface FileToSend {
  /** Its path in the repository, with forward slashes. */
  readonly path: string;
  /** Where it lies. */
  readonly file: string;
  readonly bytes: number;
}

/** Ways to the hub, and who hears of what happens. */
export interface UploadOptions {
  /** True for a repository that everybody sees. */
  readonly isPublic: boolean;
  /** Default: from the environment. */
  readonly access?: HubAccess;
  readonly patience?: Patience;
  /** Called with progress about ten times a second and at the end. */
  readonly onUpload?: ((progress: DownloadProgress) => void) | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** A model, sent. */
export interface UploadedModel {
  /** The page of the repository. */
  readonly page: string;
  /** True if the repository was made for it. */
  readonly isNew: boolean;
  readonly isPublic: boolean;
  /** The commit that holds the files. */
  readonly commit: string;
  /** Paths of the files that changed. */
  readonly changed: readonly string[];
  /** Bytes that were sent; the hub had the content of the others. */
  readonly sentBytes: number;
}

const REPORT_MS = 100;
/** A word where the library demands one: `HubSender` puts the token in its place. */
const NO_TOKEN = "hf_";

/**
 * Sends files to a model repository of the hub in one commit, and makes the repository if there is none. Files that it
 * has already, with the same hash, are not sent.
 * @param name `organisation/name`.
 * @throws ConfigError without a token, and for what the token may not do; CheckpointError if the hub, the network or
 * the disk fails.
 */
export async function uploadModel(
  name: string,
  files: readonly FileToSend[],
  { isPublic, access: given, patience = PATIENCE, onUpload, onNotice = () => {} }: UploadOptions,
): Promise<UploadedModel> {
  const access = given ?? (await hubAccess());
  requireWay(access);
  const progress = new UploadProgress(name, onUpload);
  const sender = new HubSender(name, access, patience, { onBytes: progress.add, onNotice });
  try {
    const present = await presentFiles(name, access, sender);
    if (present === null) await create(name, isPublic, access, sender);
    else requireVisibility(name, present, isPublic);
    const changed: FileToSend[] = [];
    for (const file of files) if (present === null || !(await hasFile(present, file))) changed.push(file);
    const commit = changed.length === 0 ? present!.commit : await commitFiles(name, changed, access, sender, progress);
    return {
      page: `${access.endpoint}/${name}`,
      isNew: present === null,
      isPublic: present?.isPublic ?? isPublic,
      commit,
      changed: changed.map(({ path }) => path),
      sentBytes: progress.sentBytes,
    };
  } catch (error) {
    if (error instanceof HighrankError) throw error;
    // The library's errors for an answer that it cannot read, which come with addresses.
    throw new CheckpointError(`${name}: ${access.endpoint} gives an answer that is not the hub's; check HF_ENDPOINT`, {
      cause: error,
    });
  }
}

async function create(name: string, isPublic: boolean, access: HubAccess, sender: HubSender): Promise<void> {
  // Loaded only when the network is used.
  const { createRepo } = await import("@huggingface/hub");
  const visibility = isPublic ? "public" : "private";
  const hub = { hubUrl: access.endpoint, fetch: sender.fetchPassing(409), accessToken: NO_TOKEN };
  await orMoved(name, createRepo({ repo: { type: "model", name }, visibility, ...hub }));
}

/** Returns the commit. */
async function commitFiles(
  name: string,
  files: readonly FileToSend[],
  access: HubAccess,
  sender: HubSender,
  progress: UploadProgress,
): Promise<string> {
  const { commitIter } = await import("@huggingface/hub");
  progress.expect(files);
  const operations = files.map(
    ({ path, file }) => ({ operation: "addOrUpdate", path, content: fileUrl(file) }) as const,
  );
  const hub = { hubUrl: access.endpoint, fetch: sender.fetchPassing(409) };
  const repo = { type: "model", name } as const;
  const committing = commitIter({ repo, operations, title: "Upload with highrank", useXet: false, ...hub });
  for (;;) {
    const { done, value } = await orMoved(name, committing.next());
    if (done) {
      progress.end();
      const oid = value?.commit.oid ?? "";
      if (isCommit(oid)) return oid;
      throw new CheckpointError(`${name}: ${access.endpoint} names no commit; check HF_ENDPOINT`);
    }
    if (value.event === "fileProgress" && value.state === "uploading" && value.progress === 1) {
      progress.complete(value.path);
    }
  }
}

/** @throws CheckpointError where something else has changed the repository in the midst of the work. */
async function orMoved<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (statusOf(error) !== 409) throw error;
    throw new CheckpointError(`${name}: somebody else made or changed it meanwhile (409); push again`, {
      cause: error,
    });
  }
}

/** The status in an error of the library; undefined for others. */
function statusOf(error: unknown): unknown {
  return error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
}

/** @throws ConfigError without a token or a network. */
function requireWay({ offline, token, endpoint }: HubAccess): void {
  if (offline) throw new ConfigError("HF_HUB_OFFLINE forbids sending anything; unset it to push");
  if (token !== undefined) return;
  throw new ConfigError(
    `a push needs a token with the right to write: set HF_TOKEN to one of ${endpoint}/settings/tokens, or log in ` +
      "with hf auth login",
  );
}

/** A repository as it was before. */
interface Present {
  readonly isPublic: boolean;
  readonly commit: string;
  /** Hashes of its files by path: SHA-256, or git's. */
  readonly hashes: ReadonlyMap<string, string | undefined>;
}

/** The repository; null if there is none. */
async function presentFiles(name: string, access: HubAccess, sender: HubSender): Promise<Present | null> {
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const hub = { hubUrl: access.endpoint, fetch: sender.fetchPassing(404) };
  try {
    const info = await modelInfo({ name, revision: "main", additionalFields: ["sha"], ...hub });
    const hashes = new Map<string, string | undefined>();
    const place = { repo: { type: "model", name } as const, revision: "main", recursive: true };
    for await (const { type, path, oid, lfs } of listFiles({ ...place, ...hub })) {
      if (type === "file") hashes.set(path, lfs?.oid ?? oid);
    }
    return { isPublic: !info.private, commit: info.sha, hashes };
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw error;
  }
}

/** @throws ConfigError for a repository that more people see than was asked for. */
function requireVisibility(name: string, present: Present, isPublic: boolean): void {
  if (!present.isPublic || isPublic) return;
  throw new ConfigError(
    `${name} is there already and everybody sees it; say ${optionName("public", true)} to push to it, or name another`,
  );
}

async function hasFile({ hashes }: Present, { path, file }: FileToSend): Promise<boolean> {
  const hash = hashes.get(path);
  return hash !== undefined && hash === (await (hash.length === 64 ? sha256File(file) : gitBlobHash(file)));
}

/** Counts the bytes of each file, and tells of them. */
class UploadProgress {
  readonly #name: string;
  readonly #onUpload: UploadOptions["onUpload"];
  readonly #sizes = new Map<string, number>();
  readonly #sent = new Map<string, number>();
  readonly #complete = new Set<string>();
  #reported = Number.NEGATIVE_INFINITY;

  constructor(name: string, onUpload: UploadOptions["onUpload"]) {
    this.#name = name;
    this.#onUpload = onUpload;
  }

  expect(files: readonly FileToSend[]): void {
    for (const { path, bytes } of files) this.#sizes.set(path, bytes);
  }

  readonly add = (path: string, bytes: number): void => {
    this.#sent.set(path, (this.#sent.get(path) ?? 0) + bytes);
    const now = performance.now();
    if (now - this.#reported < REPORT_MS) return;
    this.#reported = now;
    const done = sum([...this.#sizes].map(([name, size]) => (this.#complete.has(name) ? size : this.#sentOf(name))));
    if (done < this.#total) this.#tell(path, done);
  };

  /** The hub has the file: it was sent just now, or had been before. */
  complete(path: string): void {
    this.#complete.add(path);
  }

  /** Small files are part of the commit, and none of the library's events tells of them. */
  get sentBytes(): number {
    const isInCommit = (path: string): boolean => !this.#sent.has(path) && !this.#complete.has(path);
    return sum([...this.#sizes].map(([path, size]) => (isInCommit(path) ? size : this.#sentOf(path))));
  }

  end(): void {
    this.#tell([...this.#sizes.keys()].at(-1)!, this.#total);
  }

  get #total(): number {
    return sum(this.#sizes.values());
  }

  #sentOf(path: string): number {
    return this.#sent.get(path) ?? 0;
  }

  #tell(file: string, done: number): void {
    this.#onUpload?.({ model: this.#name, file, done, total: this.#total });
  }
}
