import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { scanCacheDir } from "@huggingface/hub";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { HubServer } from "../../tests/hub/hub-server.js";
import { withFolder } from "../../tests/run-command.js";
import { CheckpointError, DataError } from "../base/errors.js";
import { loadDataset } from "../data/dataset.js";
import type { HubAccess } from "./hub-access.js";
import { type LocatedData, locateData } from "./locate-data.js";
import { hubModelOf } from "./locate-model.js";

const line = (text: string) => `{"text": "${text}"}\n`;
const CARD = `---
configs:
- config_name: plain
  data_files: [{split: train, path: plain/train*}, {split: test, path: plain/test*}]
- config_name: hard
  data_files: [{split: train, path: hard/*}]
---
# Card
`;
const FILES = {
  "README.md": CARD,
  "plain/train-1.jsonl": line("a"),
  "plain/train-2.jsonl": line("b"),
  "plain/test.jsonl": line("t"),
  "hard/x.csv": "text\nc\n",
  "script.py": "print()",
};
const PATIENCE = { attempts: 2, firstWait: 1, silence: 10_000 };

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.seen.length = 0;
  hub.trouble = () => undefined;
  hub.token = undefined;
});

function locate(cacheFolder: string, text: string, more: Partial<HubAccess> = {}): Promise<LocatedData> {
  const access = { endpoint: hub.endpoint, token: undefined, offline: false, cacheFolder, ...more };
  return locateData(text, { access, patience: PATIENCE });
}

async function texts({ source, config }: LocatedData): Promise<string[]> {
  const { train, validation } = await loadDataset(source, { validationFraction: 0, config });
  return [...train, ...validation].map((record) => (record.kind === "text" ? record.text : record.kind));
}

test("a data set by its name and that of its config: only the files of its splits are downloaded", async () => {
  const commit = hub.push("datasets/org/set", FILES);
  await withFolder({}, async (cache) => {
    const found = await locate(cache, "org/set:plain");
    expect(found).toMatchObject({ name: `org/set:plain@${commit}`, origin: "data set of the hub", config: "plain" });
    expect(await texts(found)).toEqual(["a", "b"]);
    expect((await readdir(path.join(found.source, "plain"))).sort()).toEqual(["train-1.jsonl", "train-2.jsonl"]);
    expect(await texts(await locate(cache, "org/set:hard"))).toEqual(["c"]);
    // The cache is Python's.
    const { repos } = await scanCacheDir(cache);
    expect(repos.map(({ id }) => id)).toEqual([{ name: "org/set", type: "dataset" }]);
    hub.seen.length = 0;
    expect(await texts(await locate(cache, found.name))).toEqual(["a", "b"]);
    expect(hub.seen.filter(({ url }) => url.includes("/resolve/"))).toEqual([]);
    expect(await texts(await locate(cache, "org/set:hard", { offline: true }))).toEqual(["c"]);
  });
});

test("several data sets without a default want a name", async () => {
  hub.push("datasets/org/set", FILES);
  await withFolder({}, async (cache) => {
    await expect(locate(cache, "org/set")).rejects.toThrow(
      /README\.md describes the data sets plain, hard, and none is the default; name one behind a colon, as :plain/,
    );
    await expect(locate(cache, "org/set:soft")).rejects.toThrow(/describes no data set soft; it describes plain, hard/);
  });
});

test("shards, a file for validation, and a revision", async () => {
  const shard = (n: number) => `data/train-0000${n}-of-00002.jsonl`;
  const files = { [shard(0)]: line("a"), [shard(1)]: line("b"), "data/validation-00000-of-00001.jsonl": line("v") };
  const commit = hub.push("datasets/org/shards", files, "v2");
  await withFolder({}, async (cache) => {
    const found = await locate(cache, "org/shards@v2");
    expect(found.name).toBe(`org/shards@${commit}`);
    const { train, validation } = await loadDataset(found.source);
    expect([train.length, validation.length]).toEqual([2, 1]);
    // Without one of its shards it is not whole.
    await rm(path.join(found.source, shard(1)));
    await expect(locate(cache, "org/shards@v2", { offline: true })).rejects.toThrow(/does not have the whole data set/);
  });
});

test("hf:// names a file or a folder of a data set", async () => {
  const commit = hub.push("datasets/org/set", FILES);
  await withFolder({}, async (cache) => {
    const file = await locate(cache, "hf://datasets/org/set/hard/x.csv");
    expect(file.name).toBe(`hf://datasets/org/set@${commit}/hard/x.csv`);
    expect(await texts(file)).toEqual(["c"]);
    expect(await texts(await locate(cache, "hf://datasets/org/set/plain"))).toEqual(["a", "b"]);
    await expect(locate(cache, "hf://datasets/org/set/none")).rejects.toThrow(/the data set has no none/);
    await expect(locate(cache, "hf://datasets/org")).rejects.toThrow(/must be hf:\/\/datasets\/organisation\/name/);
    await expect(locate(cache, "https://huggingface.co/datasets/org/set/viewer")).rejects.toThrow(/write org\/set/);
  });
});

test("a path goes before a name, with its config too, and a misspelt one is not asked for", async () => {
  await withFolder({}, async (cwd) => {
    const before = process.cwd();
    process.chdir(cwd);
    try {
      await mkdir("org/set/hard", { recursive: true });
      await writeFile("org/set/README.md", CARD);
      await writeFile("org/set/hard/x.csv", FILES["hard/x.csv"]);
      expect(await locate(cwd, "org/set")).toMatchObject({ source: "org/set", origin: "folder" });
      const config = await locate(cwd, "org/set:hard");
      expect(config).toMatchObject({ source: "org/set", config: "hard", origin: "folder" });
      expect(await texts(config)).toEqual(["c"]);
      // Under any name.
      expect(await locate(cwd, "org/set/../set:hard")).toMatchObject({ source: "org/set/../set", config: "hard" });
      await expect(locate(cwd, "org/sett")).rejects.toThrow(/no such file or folder in org; .*write org\/sett@main/);
      const near = /ogr\/set: there is no such file or folder; did you mean org\/set, or .*write ogr\/set@main/;
      await expect(locate(cwd, "ogr/set")).rejects.toThrow(near);
      await expect(hubModelOf("ogr/set")).rejects.toThrow(near);
      await expect(hubModelOf("gone/my.Q8_0.gguf")).rejects.toThrow(/: there is no such file; check the path, or/);
      expect(await hubModelOf("ogr/tes")).toEqual({ name: "ogr/tes", revision: "main" });
      expect(await hubModelOf("ogr/set@main")).toEqual({ name: "ogr/set", revision: "main" });
      await expect(locate(cwd, "elsewhere/train.csv")).rejects.toThrow(/there is no such file; check the path/);
      expect(hub.seen).toEqual([]);
    } finally {
      process.chdir(before);
    }
  });
});

test.each([
  [404, "", /there is no such data set, or none that you may read, nor a local file or folder of that name/],
  [403, "GatedRepo", /its terms must be accepted at .*\/datasets\/org\/set; set HF_TOKEN/],
  [404, "RevisionNotFound", /the data set has no such revision; see .*\/datasets\/org\/set/],
])("an answer of %i %s", async (status, code, message) => {
  hub.trouble = () => ({ status, headers: { "x-error-code": code } });
  await withFolder({}, async (cache) => {
    await expect(locate(cache, "org/set")).rejects.toThrow(CheckpointError);
    await expect(locate(cache, "org/set")).rejects.toThrow(message);
  });
});

test("a data set without files that are read", async () => {
  hub.push("datasets/org/py", { "script.py": "", "README.md": "# none" });
  await withFolder({}, async (cache) => {
    await expect(locate(cache, "org/py")).rejects.toThrow(DataError);
    await expect(locate(cache, "org/py")).rejects.toThrow(/org\/py: there is only README\.md/);
  });
});

test("an interrupted download goes on, and a private data set wants the token", async () => {
  hub.push("datasets/org/big", { "train.parquet": "x".repeat(100_000) });
  hub.token = "secret";
  await withFolder({}, async (cache) => {
    await expect(locate(cache, "org/big")).rejects.toThrow(/set HF_TOKEN/);
    let cuts = 1;
    hub.trouble = ({ host }) => (host === "cdn" && cuts-- > 0 ? { cutAfter: 60_000 } : undefined);
    const { source } = await locate(cache, "org/big", { token: "secret" });
    expect((await readFile(path.join(source, "train.parquet"))).length).toBe(100_000);
  });
});
