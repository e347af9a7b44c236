import { createHash } from "node:crypto";

/** An answer to a request that changes the hub: a status, and the content as JSON. */
export interface UploadAnswer {
  readonly status: number;
  readonly value: unknown;
}

/** What the server does with the content that arrives. */
interface Repositories {
  /** The address of the content network. */
  readonly contentHost: () => string;
  /** The files of a repository's main branch; undefined if there is no such repository. */
  readonly filesOf: (name: string) => ReadonlyMap<string, Buffer> | undefined;
  /** Commits files, and returns the commit. */
  readonly commit: (name: string, files: Readonly<Record<string, Buffer>>) => string;
}

const LFS = /\.(safetensors|bin|onnx|gguf)$/;

/** The part of the hub that takes files: repositories are made, contents are stored by their hash, commits name them. */
export class HubUploads {
  /** True for a repository that everybody sees. */
  readonly isPublic = new Map<string, boolean>();
  readonly #contents = new Map<string, Buffer>();
  readonly #repositories: Repositories;

  constructor(repositories: Repositories) {
    this.#repositories = repositories;
  }

  /** The answer of the hub itself; undefined for what is no request of an upload. */
  answer(pathname: string, body: Buffer): UploadAnswer | undefined {
    if (pathname === "/api/repos/create") return this.#create(JSON.parse(body.toString()));
    const [, name = ""] = /^\/(?:api\/models\/)?([^/]+\/[^/]+?)(?:\.git\/|\/)/.exec(pathname) ?? [];
    const files = this.#repositories.filesOf(name);
    if (files === undefined) return { status: 404, value: { error: "Repository not found" } };
    if (pathname.endsWith("/preupload/main")) return preupload(JSON.parse(body.toString()));
    if (pathname.endsWith(".git/info/lfs/objects/batch")) return this.#batch(JSON.parse(body.toString()));
    if (pathname.endsWith("/commit/main")) return this.#commit(name, files, body.toString());
    return undefined;
  }

  /** Stores content that was sent to the content network under its hash. */
  store(hash: string, body: Buffer): UploadAnswer {
    if (createHash("sha256").update(body).digest("hex") !== hash) return { status: 400, value: {} };
    this.#contents.set(hash, body);
    return { status: 200, value: {} };
  }

  #create({ name, organization, visibility }: Record<string, string>): UploadAnswer {
    const whole = `${organization}/${name}`;
    if (this.#repositories.filesOf(whole) !== undefined)
      return { status: 409, value: { error: "You already created it" } };
    this.isPublic.set(whole, visibility === "public");
    this.#repositories.commit(whole, { ".gitattributes": Buffer.from("*.safetensors filter=lfs\n") });
    return { status: 200, value: { url: `https://hub.example/${whole}`, id: "1" } };
  }

  #batch({ objects }: { objects: readonly { oid: string; size: number }[] }): UploadAnswer {
    const href = (oid: string): string =>
      `${this.#repositories.contentHost()}/upload/${oid}?signature=secret-signature`;
    const listed = objects.map(({ oid, size }) =>
      this.#contents.has(oid) ? { oid, size } : { oid, size, actions: { upload: { href: href(oid) } } },
    );
    return { status: 200, value: { transfer: "basic", objects: listed } };
  }

  #commit(name: string, before: ReadonlyMap<string, Buffer>, body: string): UploadAnswer {
    const files: Record<string, Buffer> = Object.fromEntries(before);
    for (const line of body.split("\n")) {
      const { key, value } = JSON.parse(line);
      if (key === "file") files[value.path] = Buffer.from(value.content, value.encoding);
      if (key !== "lfsFile") continue;
      const content = this.#contents.get(value.oid);
      if (content === undefined || content.length !== value.size) {
        return { status: 400, value: { error: `LFS object ${value.oid} is missing` } };
      }
      files[value.path] = content;
    }
    const commitOid = this.#repositories.commit(name, files);
    return {
      status: 200,
      value: { success: true, commitOid, commitUrl: `https://hub.example/${name}/commit/${commitOid}` },
    };
  }
}

function preupload({ files }: { files: readonly { path: string }[] }): UploadAnswer {
  const modes = files.map(({ path }) => ({
    path,
    uploadMode: LFS.test(path) ? "lfs" : "regular",
    shouldIgnore: false,
  }));
  return { status: 200, value: { files: modes } };
}
