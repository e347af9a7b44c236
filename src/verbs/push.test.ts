import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { adapterFor } from "../../tests/bad-inputs/faulty-models.js";
import { HubServer, type SeenRequest } from "../../tests/hub/hub-server.js";
import { withFolder } from "../../tests/run-command.js";
import { TEXT, writeSmallModel } from "../../tests/small-model.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { frontMatter } from "../data/front-matter.js";
import { isOwnCard } from "../files/own-card.js";
import type { HubAccess } from "../hub/hub-access.js";
import { mergeTarget } from "./merge.js";
import { type Pushed, type PushOptions, pushTarget } from "./push.js";
import { train } from "./train.js";

const TOKEN = "hf_verysecret";
const PATIENCE = { attempts: 2, firstWait: 1, silence: 5000 };

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
let repository = "";
let tests = 0;
beforeEach(() => {
  hub.seen.length = 0;
  hub.trouble = () => undefined;
  hub.token = TOKEN;
  repository = `org/mine-${++tests}`;
});

function access(change: Partial<HubAccess> = {}): HubAccess {
  return { endpoint: hub.endpoint, token: TOKEN, offline: false, cacheFolder: "", ...change };
}

function push(target: string, options: PushOptions = {}): Promise<Pushed> {
  return pushTarget(target, repository, { access: access(), patience: PATIENCE, ...options });
}

/** Lets work have a merged model, with its card, in a folder of its own. @param seed of its weights. */
function withModel(use: (folder: string) => Promise<void>, seed = tests): Promise<void> {
  return withFolder({}, async (root) => {
    await writeSmallModel(path.join(root, "start"), { seed });
    await mergeTarget(path.join(root, "start"), { base: null, out: path.join(root, "m"), dtype: null, verify: false });
    await use(path.join(root, "m"));
  });
}

const isContent = ({ host, method }: SeenRequest): boolean => host === "cdn" && method === "PUT";
const sentBytes = (): number => hub.seen.filter(isContent).reduce((sum, { received }) => sum + received, 0);

test("a model goes into a private repository in one commit, its card with the name of the repository", async () => {
  await withModel(async (folder) => {
    await writeFile(path.join(folder, ".env"), "SECRET=1");
    await writeFile(path.join(folder, "notes.docx"), "mine");
    const progress: number[] = [];
    const { files, leftOut, isPublic, uploaded } = await push(folder, { onUpload: ({ done }) => progress.push(done) });
    const there = hub.filesOf(repository)!;
    const names = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    expect([...there.keys()].sort()).toEqual([".gitattributes", ...names]);
    expect(files.map(({ path: name }) => name)).toEqual(names);
    expect(leftOut).toEqual([".env", "notes.docx"]);
    expect([isPublic, hub.uploads.isPublic.get(repository)]).toEqual([false, false]);
    for (const name of names.slice(1)) expect(there.get(name)).toEqual(await readFile(path.join(folder, name)));
    expect(there.get("README.md")!.toString()).toContain(`here = "${repository}"`);
    expect(uploaded).toMatchObject({ isNew: true, changed: names, page: `${hub.endpoint}/${repository}` });
    expect(uploaded!.sentBytes).toBe(files.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(progress.at(-1)).toBe(uploaded!.sentBytes);
    expect(hub.seen.filter(({ url }) => url.includes("/commit/"))).toHaveLength(1);
  });
});

test("the token goes to the hub alone", async () => {
  await withModel(async (folder) => {
    await push(folder);
    for (const { host, authorization } of hub.seen) {
      expect(authorization).toBe(host === "hub" ? `Bearer ${TOKEN}` : undefined);
    }
    expect(new Set(hub.seen.map(({ host }) => host))).toEqual(new Set(["hub", "cdn"]));
  });
});

test("a push that was cut goes on where it was: contents that arrived are not sent again", async () => {
  await withModel(async (folder) => {
    const weights = await readFile(path.join(folder, "model.safetensors"));
    await writeFile(
      path.join(folder, "other.safetensors"),
      weights.map((byte) => byte ^ 1),
    );
    let cut: string | undefined;
    hub.trouble = (request) => {
      if (!isContent(request)) return undefined;
      cut ??= request.url;
      return request.url === cut ? { cutAfter: 1000 } : undefined;
    };
    await expect(push(folder)).rejects.toThrow(/cannot be sent to .*; check the network .* not sent again/);
    expect([...hub.filesOf(repository)!.keys()]).toEqual([".gitattributes"]);
    hub.trouble = () => undefined;
    hub.seen.length = 0;
    const { uploaded } = await push(folder);
    expect(sentBytes()).toBe(weights.length);
    expect(uploaded).toMatchObject({ isNew: false });
    expect(hub.filesOf(repository)!.get("model.safetensors")).toEqual(weights);
    hub.seen.length = 0;
    expect((await push(folder)).uploaded).toMatchObject({ changed: [], sentBytes: 0 });
    expect(hub.seen.filter(({ method }) => method !== "GET")).toEqual([]);
  });
});

test("a busy hub and a single cut are tried again, and bytes count once", async () => {
  await withModel(async (folder) => {
    const troubled = new Set<string>();
    hub.trouble = ({ method, url }) => {
      if (method === "GET" || troubled.has(url)) return undefined;
      troubled.add(url);
      return { status: 503, headers: {} };
    };
    const { uploaded, files } = await push(folder);
    expect(troubled.size).toBe(5);
    expect(uploaded!.sentBytes).toBe(files.reduce((sum, { bytes }) => sum + bytes, 0));
  });
});

test("a dry run asks nothing of the network, and needs no token", async () => {
  await withModel(async (folder) => {
    const { files, uploaded } = await push(folder, { dryRun: true, access: access({ token: undefined }) });
    expect([files.length, uploaded]).toEqual([5, null]);
    expect(hub.seen).toEqual([]);
  });
});

test("a repository that everybody sees is not filled by chance", async () => {
  await withModel(async (folder) => {
    expect((await push(folder, { public: true })).isPublic).toBe(true);
    await expect(push(folder)).rejects.toThrow(/everybody sees it; say public: true/);
    expect((await push(folder, { public: true })).uploaded).toMatchObject({ changed: [] });
  });
});

test("an adapter goes with a base that others can get, or not at all", async () => {
  await withFolder({}, async (root) => {
    await writeSmallModel(path.join(root, "float"), { numLayers: 1 });
    await adapterFor(root, "float", null);
    const adapter = path.join(root, "adapter");
    await expect(push(adapter)).rejects.toThrow(/which nobody else can get; name a model of the hub with base/);
    expect(hub.seen).toEqual([]);
    await expect(push(adapter, { base: "org/none" })).rejects.toThrow("org/none");
    expect(hub.filesOf(repository)).toBeUndefined();
    const commit = await hub.pushFolder("org/tiny", path.join(root, "float"));
    const notices: string[] = [];
    await push(adapter, { base: `org/tiny@${commit}`, onNotice: (text) => notices.push(text) });
    expect(notices.join("\n")).toContain("has the weights that the adapter was trained on is not checked");
    const config = JSON.parse(hub.filesOf(repository)!.get("adapter_config.json")!.toString());
    expect(config).toMatchObject({ base_model_name_or_path: "org/tiny", peft_type: "LORA" });
    expect(config.revision).toBe(commit);
    expect(JSON.stringify(config)).not.toContain(root);
  });
});

test("the card of an adapter names the base that others can get", async () => {
  await withFolder({ "a.txt": TEXT }, async (root) => {
    const base = path.join(root, "float");
    await writeSmallModel(base, { numLayers: 1 });
    const run = path.join(root, "run");
    const settings = { model: base, data: path.join(root, "a.txt"), method: "lora", rank: 2, out: run } as const;
    await train({ ...settings, maxSteps: 1, batchSize: 2, sequenceLength: 16, evalTokens: 32, sampleTokens: 0 });
    const commit = await hub.pushFolder("org/tiny", base);
    for (const target of [run, path.join(run, "adapter")]) {
      for (const named of ["org/tiny", `org/tiny@${commit}`]) {
        await push(target, { base: named });
        const card = hub.filesOf(repository)!.get("README.md")!.toString();
        expect(isOwnCard(card)).toBe(true);
        expect(frontMatter(card)).toMatchObject({ base_model: "org/tiny", base_model_relation: "adapter" });
        expect(card).toContain("The base is [org/tiny](https://huggingface.co/org/tiny)");
        expect(card).toContain('base = "org/tiny"');
        expect(card.includes(`revision="${commit}"`)).toBe(named !== "org/tiny");
        expect(card).not.toMatch(/no model of the hub|path\/to/);
      }
    }
  });
});

test("the adapter of a run on a base of this machine alone is refused by the name of the run", async () => {
  await withFolder({ "a.txt": TEXT }, async (root) => {
    await writeSmallModel(path.join(root, "float"), { numLayers: 1 });
    const [run, data] = [path.join(root, "run"), path.join(root, "a.txt")];
    const settings = { model: path.join(root, "float"), data, method: "lora", rank: 2, out: run } as const;
    await train({ ...settings, maxSteps: 1, batchSize: 2, sequenceLength: 16, evalTokens: 32, sampleTokens: 0 });
    const refused = push(run, { what: "adapter" });
    await expect(refused).rejects.toThrow(`${run}: the base of the adapter is `);
    await expect(refused).rejects.toThrow("which nobody else can get");
  });
});

test("a card that somebody changed is sent as it is", async () => {
  await withModel(async (folder) => {
    const card = `${await readFile(path.join(folder, "README.md"), "utf8")}\nMine.\n`;
    await writeFile(path.join(folder, "README.md"), card);
    await push(folder);
    const there = hub.filesOf(repository)!.get("README.md")!.toString();
    expect(there).toBe(card);
    expect(frontMatter(there)).toMatchObject({ library_name: "transformers" });
  });
});

test.each([
  [401, ConfigError, /answers 401 \(no \u2026 here\): the token is not valid/],
  [403, ConfigError, /answers 403 .*the token may not write there/],
  [409, CheckpointError, /changed it meanwhile \(409\)/],
  [400, CheckpointError, /answers 400 .*; nothing was committed/],
  [200, CheckpointError, /names no commit; check HF_ENDPOINT/],
])("an answer %i to a commit is explained, and shows no token", async (status, kind, words) => {
  await withModel(async (folder) => {
    hub.trouble = ({ url }) =>
      url.includes("/commit/") ? { status, content: JSON.stringify({ error: `no ${TOKEN} here` }) } : undefined;
    const refused = push(folder);
    await expect(refused).rejects.toThrow(kind);
    await expect(refused).rejects.toThrow(words);
    await expect(refused).rejects.not.toThrow(TOKEN);
  });
});

test("a hub that is not there is named, with the way out", async () => {
  await withModel(async (folder) => {
    await expect(push(folder, { access: access({ endpoint: "http://127.0.0.1:9" }) })).rejects.toThrow(
      /cannot be sent to http:\/\/127\.0\.0\.1:9 /,
    );
  });
});

test.each([
  ["no token", { token: undefined }, /needs a token .*HF_TOKEN/],
  ["no network", { offline: true }, /HF_HUB_OFFLINE forbids/],
])("with %s nothing is asked", async (_, change, words) => {
  await withModel(async (folder) => {
    await expect(push(folder, { access: access(change) })).rejects.toThrow(words);
    expect(hub.seen).toEqual([]);
  });
});

test("what is no name of a repository, and what holds no model, is refused", async () => {
  await withModel(async (folder) => {
    for (const name of ["mine", "a/b/c", "org/name@main", "../x", ""]) {
      await expect(pushTarget(folder, name)).rejects.toThrow(/must be organisation\/name/);
    }
    await writeFile(path.join(folder, "pytorch_model.bin"), "pickles");
    await expect(push(folder)).rejects.toThrow(/pytorch_model\.bin/);
    await rm(path.join(folder, "pytorch_model.bin"));
    await rm(path.join(folder, "model.safetensors"));
    await expect(push(folder)).rejects.toThrow(/holds no weights/);
    await expect(push(folder, { what: "model" })).rejects.toThrow(/what is for runs/);
    await expect(push(path.join(folder, "nowhere"))).rejects.toThrow(/there is no such file or folder/);
    expect(hub.seen).toEqual([]);
  });
});
