import { lstat, mkdir, readdir, readFile, readlink, rename, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { scanCacheDir } from "@huggingface/hub";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { HubServer, type SeenRequest } from "../../tests/hub/hub-server.js";
import { type Files, withFolder } from "../../tests/run-command.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { acquireLock } from "../platform/node-lock.js";
import { templatesBeside } from "../tokenizers/stored-templates.js";
import type { HubAccess } from "./hub-access.js";
import { parseHubName } from "./hub-name.js";
import { type DownloadOptions, type DownloadProgress, downloadModel, type Snapshot } from "./model-download.js";

const WEIGHTS = "w".repeat(300_000);
const SMALL: Files = {
  "README.md": "# a model",
  "config.json": '{"model_type":"llama"}',
  "tokenizer.json": "{}",
  "pytorch_model.bin": "pickles",
  "model.safetensors": WEIGHTS,
};
const READ = ["README.md", "config.json", "model.safetensors", "tokenizer.json"];

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.seen.length = 0;
  hub.trouble = () => undefined;
  hub.list = (entries) => entries;
});

function accessTo(cacheFolder: string, more: Partial<HubAccess> = {}): HubAccess {
  return { endpoint: hub.endpoint, token: undefined, offline: false, cacheFolder, ...more };
}

const PATIENCE = { attempts: 3, firstWait: 1, silence: 10_000 };

function download(
  cacheFolder: string,
  name = "org/small",
  { offline = false, ...options }: Omit<DownloadOptions, "access"> & { readonly offline?: boolean } = {},
): Promise<Snapshot> {
  const access = accessTo(cacheFolder, { offline });
  return downloadModel(parseHubName(name)!, { access, patience: PATIENCE, ...options });
}

/** The message of the CheckpointError with which a download ends. */
async function refusal(downloading: Promise<unknown>): Promise<string> {
  const error = await downloading.then(
    () => expect.unreachable(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as Error).message;
}

function inCache<T>(use: (cacheFolder: string) => Promise<T>): Promise<T> {
  return withFolder({}, use);
}

const isWeights = ({ host, url }: SeenRequest): boolean => host === "cdn" && url.includes("model");

test("a model is downloaded whole, without the files that highrank does not read", async () => {
  const commit = hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const { folder, ...rest } = await download(cache);
    expect(rest).toEqual({ commit });
    expect((await readdir(folder)).sort()).toEqual(READ);
    expect(await readFile(path.join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
    expect(await readFile(path.join(folder, "config.json"), "utf8")).toBe(SMALL["config.json"]);
    // A folder and five files in pages of three.
    expect(hub.seen.filter(({ url }) => url.includes("/tree/"))).toHaveLength(2);
  });
});

test("chat templates with names of their own come along, in their folder", async () => {
  const templates = { "additional_chat_templates/tool_use.jinja": "a", "additional_chat_templates/notes.md": "b" };
  hub.push("org/small", { ...SMALL, ...templates, "onnx/model.onnx": "c" });
  await inCache(async (cache) => {
    const { folder } = await download(cache);
    expect((await readdir(folder)).sort()).toEqual(["README.md", "additional_chat_templates", ...READ.slice(1)]);
    expect(await readdir(path.join(folder, "additional_chat_templates"))).toEqual(["tool_use.jinja"]);
    expect(await templatesBeside(folder)).toEqual([{ name: "tool_use", template: "a" }]);
  });
});

test("the cache has Python's layout, so that other programs can read and clean it up", async () => {
  const commit = hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const { folder } = await download(cache);
    const home = path.join(cache, "models--org--small");
    expect((await readdir(home)).sort()).toEqual(["blobs", "refs", "snapshots"]);
    expect(await readFile(path.join(home, "refs", "main"), "utf8")).toBe(commit);
    expect(folder).toBe(path.join(home, "snapshots", commit));
    for (const name of READ) {
      expect(await readlink(path.join(folder, name))).toMatch(/^\.\.\/\.\.\/blobs\/([0-9a-f]{40}|[0-9a-f]{64})$/);
    }
    const [repository, ...others] = (await scanCacheDir(cache)).repos;
    expect(others).toEqual([]);
    expect(repository).toMatchObject({ id: { name: "org/small", type: "model" }, filesCount: 4 });
    const [revision] = repository!.revisions;
    expect(revision).toMatchObject({ commitOid: commit, refs: ["main"] });
    expect(revision!.files.map((file) => path.basename(file.path)).sort()).toEqual(READ);
    // Links into the moved folders would break.
    await rename(home, path.join(cache, "moved"));
    expect(await readFile(path.join(cache, "moved", "snapshots", commit, "config.json"), "utf8")).toBe(
      SMALL["config.json"],
    );
  });
});

test("the second time only the list is requested; a new commit brings only changed files", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const first = await download(cache);
    hub.seen.length = 0;
    expect(await download(cache)).toEqual(first);
    expect(hub.seen.filter(({ url }) => !url.startsWith("/api/"))).toEqual([]);
    const commit = hub.push("org/small", { ...SMALL, "config.json": '{"model_type":"gpt2"}' });
    hub.seen.length = 0;
    const second = await download(cache);
    expect(second.commit).toBe(commit);
    expect(await readFile(path.join(second.folder, "config.json"), "utf8")).toContain("gpt2");
    expect(await readFile(path.join(second.folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
    expect(hub.seen.filter(({ url }) => !url.startsWith("/api/"))).toHaveLength(1);
    expect(await readFile(path.join(first.folder, "config.json"), "utf8")).toBe(SMALL["config.json"]);
  });
});

test("a branch has its own ref, and a commit that is present needs no network", async () => {
  const commit = hub.push("org/small", { ...SMALL, "config.json": "{}" }, "refs/pr/1");
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const first = await download(cache, "org/small@refs/pr/1");
    expect(first.commit).toBe(commit);
    expect(await readFile(path.join(cache, "models--org--small/refs/refs/pr/1"), "utf8")).toBe(commit);
    hub.seen.length = 0;
    expect(await download(cache, `org/small@${commit}`)).toEqual(first);
    expect(hub.seen).toEqual([]);
    expect(await refusal(download(cache, "org/small@v9"))).toMatch(/no such revision/);
  });
});

test("a tokenizer can be downloaded without the weights, which come later", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const { folder } = await download(cache, "org/small", { wanted: "tokenizer" });
    expect((await readdir(folder)).sort()).toEqual(["README.md", "config.json", "tokenizer.json"]);
    expect(await refusal(download(cache, "org/small", { offline: true }))).toMatch(/does not have the whole model/);
    expect((await readdir((await download(cache)).folder)).sort()).toEqual(READ);
  });
});

test("an interrupted download continues where it stopped, in the same call and in the next", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const blobs = path.join(cache, "models--org--small/blobs");
    const begun = async (): Promise<number> => {
      const name = (await readdir(blobs)).find((file) => file.endsWith(".incomplete"));
      return name === undefined ? 0 : (await stat(path.join(blobs, name))).size;
    };
    // Cut after a known number of bytes, so that the next request can be checked.
    const cutAt = (bytes: number, from: number) => ({
      cutAfter: bytes - from,
      wait: async () => {
        while ((await begun()) < bytes) await new Promise((resolve) => setTimeout(resolve, 1));
      },
    });
    const weights = (): SeenRequest[] => hub.seen.filter(isWeights);
    hub.trouble = (request) => {
      if (!isWeights(request)) return undefined;
      if (weights().length === 1) return cutAt(100_000, 0);
      return weights().length === 2 ? cutAt(200_000, 100_000) : { status: 503 };
    };
    expect(await refusal(download(cache))).toMatch(/what has been downloaded is kept/);
    expect(await begun()).toBe(200_000);
    hub.trouble = () => undefined;
    const { folder } = await download(cache);
    expect(await readFile(path.join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
    expect(weights().map(({ range }) => range)).toEqual([
      undefined,
      "bytes=100000-",
      ...Array.from({ length: PATIENCE.attempts + 1 }, () => "bytes=200000-"),
    ]);
    expect(hub.bytesOf("model.safetensors")).toBe(WEIGHTS.length);
    expect((await readdir(blobs)).filter((name) => name.includes("incomplete"))).toEqual([]);
  });
});

test("a connection that falls silent is given up for another one", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    let release = (): void => {};
    const silence = new Promise<void>((resolve) => {
      release = resolve;
    });
    let attempts = 0;
    hub.trouble = (request) =>
      isWeights(request) && ++attempts === 1 ? { cutAfter: 100_000, wait: () => silence } : undefined;
    const patience = { ...PATIENCE, attempts: 9, silence: 300 };
    const { folder } = await download(cache, "org/small", { patience });
    release();
    expect(await readFile(path.join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
    expect(hub.seen.filter(isWeights)[1]).toMatchObject({ range: "bytes=100000-" });
  });
});

test("a server without range requests sends everything again", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    let attempts = 0;
    hub.trouble = (request) => {
      if (!isWeights(request)) return undefined;
      return ++attempts === 1 ? { cutAfter: 100_000 } : { noRanges: true };
    };
    const { folder } = await download(cache);
    expect(await readFile(path.join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
  });
});

test("content with another hash is refused, and nothing of it stays", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    for (const file of ["config.json", "model.safetensors"]) {
      const spoil = (bytes: Buffer): Buffer => Buffer.from(bytes.toString("latin1").replace(/[wl]/, "x"), "latin1");
      hub.trouble = ({ url }) => (url.includes(file) ? { spoil } : undefined);
      const says = await refusal(download(cache));
      expect(says).toMatch(`${file}: the content must have the hash`);
      expect(says).not.toContain("signature");
    }
    const blobs = await readdir(path.join(cache, "models--org--small/blobs"));
    expect(blobs.filter((name) => name.includes("incomplete"))).toEqual([]);
    hub.trouble = () => undefined;
    expect(await readdir((await download(cache)).folder)).toHaveLength(READ.length);
  });
});

test("leftovers of another download are replaced: too long, or with other content", async () => {
  hub.push("org/small", SMALL);
  for (const left of ["x".repeat(WEIGHTS.length + 1), "x".repeat(WEIGHTS.length), "x".repeat(10)]) {
    await inCache(async (cache) => {
      const { folder } = await download(cache);
      const link = path.join(folder, "model.safetensors");
      const blob = path.join(folder, await readlink(link));
      await rename(blob, `${blob}.highrank.incomplete`);
      await writeFile(`${blob}.highrank.incomplete`, left);
      await download(cache);
      expect(await readFile(link, "utf8")).toBe(WEIGHTS);
    });
  }
});

test("a truncated blob is downloaded again", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const link = path.join((await download(cache)).folder, "model.safetensors");
    await truncate(link, 5);
    await download(cache);
    expect(await readFile(link, "utf8")).toBe(WEIGHTS);
  });
});

test("more bytes than announced are refused", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    hub.trouble = ({ url }) => (url.includes("config.json") ? { content: "x".repeat(1000) } : undefined);
    expect(await refusal(download(cache))).toMatch(/sends more than the 22 bytes that it announced/);
  });
});

const SHARDED: Files = {
  "config.json": "{}",
  "tokenizer.json": "{}",
  "model.safetensors.index.json": JSON.stringify({
    weight_map: { a: "a.safetensors", b: "b.safetensors", c: "a.safetensors" },
  }),
  "a.safetensors": "first",
  "b.safetensors": "second",
  "consolidated.safetensors": "the same once more",
};

test("only the shards that the index names are downloaded", async () => {
  hub.push("org/sharded", SHARDED);
  await inCache(async (cache) => {
    const { folder } = await download(cache, "org/sharded");
    expect((await readdir(folder)).sort()).toEqual(
      Object.keys(SHARDED)
        .filter((name) => !name.startsWith("con") || name === "config.json")
        .sort(),
    );
    expect(await download(cache, "org/sharded", { offline: true })).toMatchObject({ folder });
  });
});

test("offline, a model with a missing shard is incomplete", async () => {
  hub.push("org/sharded", SHARDED);
  await inCache(async (cache) => {
    hub.trouble = ({ url }) => (url.includes("b.safetensors") ? { status: 404 } : undefined);
    await refusal(download(cache, "org/sharded"));
    const says = await refusal(download(cache, "org/sharded", { offline: true }));
    expect(says).toMatch(/org\/sharded: there is no local folder .* HF_HUB_OFFLINE/);
  });
});

test.each([
  [
    "outside",
    { "model.safetensors.index.json": '{"weight_map":{"a":"../../../x.safetensors"}}' },
    /these are not: \.\.\/\.\.\/\.\.\/x/,
  ],
  [
    "that is not there",
    { "model.safetensors.index.json": '{"weight_map":{"a":"x.safetensors"}}' },
    /these are not: x\.safetensors/,
  ],
  [
    "of another kind",
    { "model.safetensors.index.json": '{"weight_map":{"a":"config.json"}}' },
    /these are not: config\.json/,
  ],
  ["at all", { "model.safetensors.index.json": "{}" }, /it names none/],
])("an index that names no file %s is refused", async (_, files, says) => {
  hub.push("org/sharded", { "config.json": "{}", ...files });
  await inCache(async (cache) => {
    expect(await refusal(download(cache, "org/sharded"))).toMatch(says);
    expect(await readdir(cache)).toEqual([".locks", "models--org--sharded"]);
  });
});

test.each(["../x.safetensors", "..", "a/../../b", "a\\b", "/etc/passwd", "a\nb", ""])(
  "a list that names the file %j is refused before anything is fetched",
  async (name) => {
    hub.push("org/small", SMALL);
    hub.list = (entries) => [...entries, { ...entries[1]!, path: name }];
    await inCache(async (cache) => {
      expect(await refusal(download(cache))).toMatch(/lists an impossible file/);
      expect(await readdir(cache)).toEqual([]);
    });
  },
);

test.each([
  ["a hash that leads elsewhere", { oid: "../../x" }],
  ["no hash", { oid: undefined }],
  ["a size below zero", { size: -1 }],
  ["no size", { size: undefined }],
])("a list with %s is refused", async (_, change) => {
  hub.push("org/small", SMALL);
  hub.list = (entries) => entries.map((entry) => ({ ...entry, ...change, lfs: undefined }) as typeof entry);
  await inCache(async (cache) => {
    expect(await refusal(download(cache))).toMatch(/lists an impossible file/);
  });
});

test("a model with only pickles is refused with the way out, before anything is fetched", async () => {
  hub.push("org/old", { "config.json": "{}", "pytorch_model.bin": "pickles" });
  await inCache(async (cache) => {
    const says = await refusal(download(cache, "org/old"));
    expect(says).toMatch(/org\/old holds its weights only as Python pickles .*safe_serialization=True/);
    expect(await readdir(cache)).toEqual([]);
  });
});

test("a model without weights or tokenizer says what it holds", async () => {
  hub.push("org/empty", { "README.md": "soon" });
  await inCache(async (cache) => {
    expect(await refusal(download(cache, "org/empty"))).toMatch(/must hold model.safetensors .*; it holds README.md;/);
    const tokenizer = download(cache, "org/empty", { wanted: "tokenizer" });
    expect(await refusal(tokenizer)).toMatch(/must hold tokenizer.json; it holds README.md;/);
  });
});

test.each([
  ["no JSON", { content: "<html>a login page</html>" }],
  ["JSON of another kind", { content: "[]" }],
  ["null", { content: "null" }],
])("an answer that is not the hub's is reported as such: %s", async (_, trouble) => {
  hub.push("org/small", SMALL);
  hub.trouble = () => trouble;
  await inCache(async (cache) => {
    expect(await refusal(download(cache))).toMatch(/gives an answer that is not the hub's|names no commit/);
  });
});

test("a download that does not fit on the disk is not begun", async () => {
  hub.push("org/small", SMALL);
  hub.list = (entries) => entries.map((entry) => ({ ...entry, size: 2 ** 50 }));
  await inCache(async (cache) => {
    expect(await refusal(download(cache))).toMatch(
      /needs \d{16} more bytes in .* free some space, or set HF_HUB_CACHE/,
    );
    expect(hub.seen.filter(({ url }) => url.includes("/resolve/"))).toEqual([]);
  });
});

test("an endless list is given up", async () => {
  hub.push("org/small", SMALL);
  hub.list = (entries) => Array.from({ length: 700 }, (_, i) => ({ ...entries[1]!, path: `${i}` }));
  await inCache(async (cache) => {
    expect(await refusal(download(cache))).toMatch(/sends an endless list of files/);
  });
});

test("offline, or if the hub cannot be reached, the earlier download is used", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const says = await refusal(download(cache, "org/small", { offline: true }));
    expect(says).toMatch(/^org\/small: there is no local folder of that name, .* HF_HUB_OFFLINE forbids/);
    const first = await download(cache);
    hub.seen.length = 0;
    expect(await download(cache, "org/small", { offline: true })).toEqual(first);
    expect(hub.seen).toEqual([]);
    hub.trouble = () => ({ status: 503 });
    const notices: string[] = [];
    expect(await download(cache, "org/small", { onNotice: (text) => notices.push(text) })).toEqual(first);
    expect(notices.at(-1)).toMatch(/cannot be reached; using org\/small as it was at the last request/);
    // A refusal is not the same as an unreachable hub.
    hub.trouble = () => ({ status: 404 });
    expect(await refusal(download(cache))).toMatch(/no such model/);
  });
});

test("progress counts the missing bytes and reports its end, and nothing if no file is missing", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const seen: DownloadProgress[] = [];
    const onDownload = (progress: DownloadProgress): void => void seen.push(progress);
    await download(cache, "org/small", { onDownload });
    const total = READ.reduce((sum, name) => sum + SMALL[name]!.length, 0);
    expect(seen.every((progress) => progress.total === total && progress.model === "org/small")).toBe(true);
    expect(seen[0]).toMatchObject({ done: 0 });
    expect(seen.at(-1)).toEqual({ model: "org/small", file: "model.safetensors", done: total, total });
    const order = seen.map(({ done }) => done);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    seen.length = 0;
    await download(cache, "org/small", { onDownload });
    expect(seen).toEqual([]);
  });
});

test("of two downloads of one model one waits for the other, and nothing is downloaded twice", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    let waiting = (): void => {};
    const isWaiting = new Promise<void>((resolve) => {
      waiting = resolve;
    });
    hub.trouble = (request) => (isWeights(request) ? { wait: () => isWaiting } : undefined);
    const notices: string[] = [];
    const onNotice = (text: string): void => {
      notices.push(text);
      waiting();
    };
    const both = await Promise.all([1, 2].map(() => download(cache, "org/small", { onNotice })));
    expect(both[0]).toEqual(both[1]);
    expect(notices).toEqual([expect.stringMatching(/^org\/small is in use by this process .* waiting for it$/)]);
    expect(hub.bytesOf("model.safetensors")).toBe(WEIGHTS.length);
    expect(await readdir(path.join(cache, ".locks/models--org--small"))).toEqual([]);
  });
});

test("no download waits for a lock held on another host", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const locks = path.join(cache, ".locks/models--org--small");
    await mkdir(locks, { recursive: true });
    const file = path.join(locks, "highrank.lock");
    const lock = await acquireLock(file);
    const held = JSON.parse(await readFile(file, "utf8"));
    await lock.release();
    await writeFile(file, JSON.stringify({ ...held, host: "elsewhere" }));
    await expect(download(cache)).rejects.toThrow(ConfigError);
    await expect(download(cache)).rejects.toThrow(/on host elsewhere .* delete .*highrank\.lock/);
  });
});

test("wrong links in the cache are corrected", async () => {
  hub.push("org/small", SMALL);
  await inCache(async (cache) => {
    const { folder } = await download(cache);
    const link = path.join(folder, "config.json");
    const blob = path.join(folder, await readlink(link));
    await rename(blob, `${blob}.away`);
    await download(cache);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(link, "utf8")).toBe(SMALL["config.json"]);
  });
});
