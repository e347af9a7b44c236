import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import type { Files } from "../run-command.js";
import { HubUploads, type UploadAnswer } from "./hub-uploads.js";

/** A request as it came. */
export interface SeenRequest {
  readonly host: "hub" | "cdn";
  readonly method: string;
  /** With its query. */
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  /** Bytes of the body that were sent. */
  sent: number;
  /** Bytes of content that arrived. */
  received: number;
}

/** What the server does instead of what it should. */
export interface Trouble {
  /** Answers so, with these headers, and no content. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers with this content. */
  readonly content?: string;
  /** Ends the connection after so many bytes of the body, or of the content that arrives. */
  readonly cutAfter?: number;
  /** Awaited before the connection is cut, or else before anything is answered. */
  readonly wait?: () => Promise<unknown>;
  /** Sends everything, whatever range is asked for. */
  readonly noRanges?: boolean;
  /** Changes the bytes of the file. */
  readonly spoil?: (bytes: Buffer) => Buffer;
}

interface HubEntry {
  readonly type: "file" | "directory";
  readonly oid: string;
  readonly size: number;
  readonly path: string;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number } | undefined;
}

const FOLDER: HubEntry = { type: "directory", oid: "0".repeat(40), size: 0, path: "onnx" };

/**
 * Imitates the hub at one port of this machine and its content network at another: information on a model and the list of its files in
 * pages, small files at once, weights by a redirect, ranges; and what takes files: `HubUploads`.
 */
export class HubServer {
  readonly seen: SeenRequest[] = [];
  /** Asked for each request; what it returns happens instead. */
  trouble: (request: SeenRequest) => Trouble | undefined = () => undefined;
  /** Where it is set, requests to the hub must have it. */
  token: string | undefined;
  /** Entries of a page of the list. */
  pageSize = 3;
  /** Changes what is listed. */
  list: (entries: HubEntry[]) => HubEntry[] = (entries) => entries;
  readonly uploads = new HubUploads({
    contentHost: () => this.contentHost,
    filesOf: (name) => this.filesOf(name),
    commit: (name, files) => this.push(name, files),
  });
  readonly #commits = new Map<string, ReadonlyMap<string, Buffer>>();
  readonly #refs = new Map<string, string>();
  readonly #servers: Server[] = [];

  /** @throws where no port is to be had. */
  static async start(): Promise<HubServer> {
    const hub = new HubServer();
    hub.#servers.push(await listen((request, response) => hub.#answer("hub", request, response)));
    hub.#servers.push(await listen((request, response) => hub.#answer("cdn", request, response)));
    return hub;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return this.#address(0);
  }

  /** Of weights. */
  get contentHost(): string {
    return this.#address(1);
  }

  #address(index: number): string {
    return `http://127.0.0.1:${(this.#servers[index]!.address() as AddressInfo).port}`;
  }

  /** Bytes that were sent of files whose URL has this text. */
  bytesOf(text: string): number {
    return this.seen.filter(({ url }) => url.includes(text)).reduce((sum, { sent }) => sum + sent, 0);
  }

  /** Lets a branch of a model, or of `datasets/organisation/name`, have these files. Returns the commit. */
  push(model: string, files: Files, branch = "main"): string {
    const content = new Map(Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes)]));
    const hash = createHash("sha1").update(model);
    for (const [name, bytes] of content) hash.update(name).update(bytes);
    const commit = hash.digest("hex");
    this.#commits.set(`${model}@${commit}`, content);
    this.#refs.set(`${model}@${branch}`, commit);
    return commit;
  }

  /** As `push`, with the files of a folder. */
  async pushFolder(model: string, folder: string, branch?: string): Promise<string> {
    const files: Record<string, Uint8Array> = {};
    for (const name of await readdir(folder)) files[name] = await readFile(path.join(folder, name));
    return this.push(model, files, branch);
  }

  /** The files of a model's main branch, by path; undefined if there is no such model. */
  filesOf(model: string): ReadonlyMap<string, Buffer> | undefined {
    return this.#commits.get(`${model}@${this.#refs.get(`${model}@main`)}`);
  }

  async #answer(host: SeenRequest["host"], incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url, headers, method = "GET" } = incoming;
    const { authorization, range } = headers;
    const request: SeenRequest = { host, method, url: url!, authorization, range, sent: 0, received: 0 };
    this.seen.push(request);
    const trouble = this.trouble(request) ?? {};
    const received = method === "GET" ? Buffer.alloc(0) : await receive(request, incoming, trouble.cutAfter);
    if (received === undefined) return void response.socket?.destroy();
    if (trouble.cutAfter === undefined) await trouble.wait?.();
    const { status, content } = trouble;
    const isOther = status !== undefined || content !== undefined;
    const answer: Answer = isOther
      ? { status: status ?? 200, headers: trouble.headers ?? {}, body: content ?? "" }
      : method === "GET"
        ? this.#answerOf(request)
        : this.#uploadAnswer(request, received);
    if ("file" in answer) sendFile(request, response, answer, trouble);
    else response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  #answerOf(request: SeenRequest): Answer {
    if (request.host === "cdn") return this.#contentAnswer(request.url.split("/")[1]!);
    const { pathname, searchParams } = new URL(request.url, this.endpoint);
    if (this.token !== undefined && request.authorization !== `Bearer ${this.token}`)
      return refusal(401, "RepoNotFound");
    // A data set is stored under its name in addresses: datasets/organisation/name.
    const [, model = "", kind, rest = ""] =
      /^\/(?:api\/models\/|api\/(?=datasets\/))?((?:datasets\/)?[^/]+\/[^/]+)\/(revision|tree|resolve)\/(.+)$/.exec(
        pathname,
      ) ?? [];
    if (![...this.#refs.keys()].some((key) => key.startsWith(`${model}@`))) return refusal(404, "RepoNotFound");
    const [revision, ...file] = (kind === "revision" ? [rest] : rest.split("/")).map(decodeURIComponent);
    const commit = this.#refs.get(`${model}@${revision}`) ?? revision!;
    const files = this.#commits.get(`${model}@${commit}`);
    if (files === undefined) return refusal(404, "RevisionNotFound");
    if (kind === "resolve") return this.#fileAnswer(files, commit, file.join("/"));
    if (kind === "revision")
      return json({ _id: "1", id: model, sha: commit, private: !this.uploads.isPublic.get(model), lastModified: TIME });
    const isWhole = searchParams.get("recursive") === "true";
    const listed = isWhole ? [...files].map(([name, bytes]) => entryOf(name, bytes)) : entriesIn(files, file.join("/"));
    const entries = this.list([FOLDER, ...listed]);
    const start = Number(searchParams.get("cursor") ?? 0);
    const end = start + this.pageSize;
    const next = `<${this.endpoint}${pathname}?recursive=${isWhole}&cursor=${end}>; rel="next"`;
    return json(entries.slice(start, end), end < entries.length ? { link: next } : {});
  }

  #uploadAnswer(request: SeenRequest, content: Buffer): Answer {
    const { pathname } = new URL(request.url, this.endpoint);
    if (request.host === "cdn") return answerOf(this.uploads.store(pathname.split("/")[2]!, content));
    if (this.token !== undefined && request.authorization !== `Bearer ${this.token}`)
      return json({ error: "Invalid credentials" }, {}, 401);
    const answer = this.uploads.answer(pathname, content);
    return answer === undefined ? refusal(404, "") : answerOf(answer);
  }

  #fileAnswer(files: ReadonlyMap<string, Buffer>, commit: string, name: string): Answer {
    const bytes = files.get(name);
    const headers = { "X-Repo-Commit": commit };
    if (bytes === undefined) return refusal(404, "EntryNotFound", headers);
    const { oid, lfs } = entryOf(name, bytes);
    if (lfs === undefined) return { file: bytes, headers: { ...headers, ETag: `"${oid}"` } };
    const location = `${this.contentHost}/${lfs.oid}/${name}?signature=secret-signature`;
    const linked = { "X-Linked-Etag": `"${lfs.oid}"`, "X-Linked-Size": String(lfs.size) };
    return { status: 302, headers: { ...headers, ...linked, location }, body: "" };
  }

  #contentAnswer(hash: string): Answer {
    const contents = [...this.#commits.values()].flatMap((files) => [...files.values()]);
    const bytes = contents.find((content) => sha(content, "sha256") === hash);
    return bytes === undefined ? refusal(404, "") : { file: bytes, headers: { ETag: `"${hash}"` } };
  }
}

type Answer = { readonly headers: Readonly<Record<string, string>> } & (
  | { readonly status: number; readonly body: string }
  | { readonly file: Buffer }
);

const TIME = "2026-01-01T00:00:00.000Z";

function answerOf({ status, value }: UploadAnswer): Answer {
  return json(value, {}, status);
}

/** The content of a request; undefined where the connection is to be cut after so many bytes. */
async function receive(
  request: SeenRequest,
  incoming: IncomingMessage,
  cutAfter = Number.POSITIVE_INFINITY,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) {
    chunks.push(chunk);
    request.received += chunk.length;
    if (request.received >= cutAfter) return undefined;
  }
  return Buffer.concat(chunks);
}

function json(value: unknown, headers: Answer["headers"] = {}, status = 200): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value) };
}

function refusal(status: number, code: string, headers: Answer["headers"] = {}): Answer {
  return { status, headers: { ...headers, "X-Error-Code": code }, body: "" };
}

function sendFile(
  request: SeenRequest,
  response: ServerResponse,
  { file, headers }: Extract<Answer, { readonly file: Buffer }>,
  { cutAfter, wait = async () => {}, noRanges = false, spoil = (bytes) => bytes }: Trouble,
): void {
  const whole = spoil(file);
  const from = noRanges ? undefined : /^bytes=(\d+)-$/.exec(request.range ?? "")?.[1];
  const start = Number(from ?? 0);
  if (from !== undefined && start >= whole.length) {
    response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
    return;
  }
  const bytes = whole.subarray(start);
  response.writeHead(from === undefined ? 200 : 206, {
    ...headers,
    "content-length": bytes.length,
    ...(from !== undefined && { "content-range": `bytes ${start}-${whole.length - 1}/${whole.length}` }),
  });
  const sent = bytes.subarray(0, cutAfter);
  request.sent = sent.length;
  if (sent.length === bytes.length) response.end(sent);
  else response.write(sent, () => void wait().then(() => response.destroy()));
}

/** The files directly in a folder, and the folders there. */
function entriesIn(files: ReadonlyMap<string, Buffer>, folder: string): HubEntry[] {
  const prefix = folder === "" ? "" : `${folder}/`;
  const below = [...files].filter(([name]) => name.startsWith(prefix));
  const isFile = ([name]: readonly [string, Buffer]) => !name.slice(prefix.length).includes("/");
  const folders = below.filter((one) => !isFile(one)).map(([name]) => name.slice(0, name.indexOf("/", prefix.length)));
  const entries = [...new Set(folders)].map((path): HubEntry => ({ ...FOLDER, path }));
  return [...entries, ...below.filter(isFile).map(([name, bytes]) => entryOf(name, bytes))];
}

function entryOf(name: string, bytes: Buffer): HubEntry {
  const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  if (!/\.(safetensors|bin|parquet)$/.test(name)) return { type: "file", oid, size: bytes.length, path: name };
  const lfs = { oid: sha(bytes, "sha256"), size: bytes.length, pointerSize: 134 };
  return { type: "file", oid, size: bytes.length, path: name, lfs };
}

function sha(bytes: Buffer, algorithm: string): string {
  return createHash(algorithm).update(bytes).digest("hex");
}

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Promise<Server> {
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return server;
}
