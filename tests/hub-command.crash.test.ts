import { spawn } from "node:child_process";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { HubServer, type SeenRequest } from "./hub/hub-server.js";
import { type CommandResult, listTree, runCommand, withFolder } from "./run-command.js";
import { TEXT, writeSmallModel } from "./small-model.js";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const SECRET = "hf_verysecret";
const TRAIN = ["train", "--data", "a.txt", "--method", "lora", "--rank", "2", "--batch-size", "2", "--max-steps", "2"];
const SMALL_TRAIN = [...TRAIN, "--sequence-length", "16", "--sample-tokens", "0", "--threads", "1"];

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

/** A folder with a text, the model that the hub has as org/tiny, and a way to run commands there. */
function withHub(use: (there: HubTest) => Promise<void>): Promise<void> {
  return withFolder({ "a.txt": TEXT }, async (cwd) => {
    await writeSmallModel(path.join(cwd, "tiny"));
    const commit = await hub.pushFolder("org/tiny", path.join(cwd, "tiny"));
    const environment = { HF_ENDPOINT: hub.endpoint, HF_HOME: path.join(cwd, "hf") };
    const run = (args: readonly string[], env = {}): Promise<CommandResult> =>
      runCommand(args, { cwd, env: { ...environment, ...env } });
    await use({ cwd, commit, environment, run });
  });
}

interface HubTest {
  readonly cwd: string;
  readonly commit: string;
  readonly environment: Readonly<Record<string, string>>;
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<CommandResult>;
}

/** What a command prints with --json; it must succeed. */
async function resultOf(running: Promise<CommandResult>): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await running;
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const isWeights = ({ host }: SeenRequest): boolean => host === "cdn";

test("eval takes a model by name: downloaded once, then from the cache, also offline", async () => {
  await withHub(async ({ cwd, run }) => {
    const evaluate = (model: string): string[] => ["eval", model, "--data", "a.txt", "--json"];
    const local = await resultOf(run(evaluate("tiny")));
    expect(hub.seen).toEqual([]);
    const { stdout, stderr } = await run(evaluate("org/tiny"));
    expect(JSON.parse(stdout)).toEqual(local);
    expect(stderr).toMatch(/^org\/tiny {2}0% .*\norg\/tiny {2}[\d.]+ KiB downloaded in \d+s\n$/);
    expect(stderr).not.toContain("\u001b");
    hub.seen.length = 0;
    expect(await run(evaluate("org/tiny"))).toEqual({ code: 0, stdout, stderr: "" });
    expect(hub.seen.filter(isWeights)).toEqual([]);
    hub.seen.length = 0;
    expect(await run(evaluate("org/tiny"), { HF_HUB_OFFLINE: "1" })).toEqual({ code: 0, stdout, stderr: "" });
    expect(hub.seen).toEqual([]);
    expect(await listTree(path.join(cwd, "hf"))).toContain("hub/models--org--tiny/refs/main");
  });
});

test("a local folder of that name is preferred; where its parent alone is there, the hub is not asked unless told to", async () => {
  await withHub(async ({ cwd, run }) => {
    await writeSmallModel(path.join(cwd, "org/tiny"), { seed: 1 });
    const { code } = await run(["eval", "org/tiny", "--data", "a.txt"]);
    const misspelt = await run(["eval", "org/tinny", "--data", "a.txt"]);
    expect(hub.seen).toEqual([]);
    expect([code, misspelt.code]).toEqual([0, 3]);
    expect(misspelt.stderr).toMatch(/org\/tinny: there is no such file or folder in org; .* write org\/tinny@main/);
    const named = await resultOf(run(["eval", "org/tiny@main", "--data", "a.txt", "--json"]));
    expect(named).toEqual(await resultOf(run(["eval", "tiny", "--data", "a.txt", "--json"])));
  });
});

test("train records the commit, goes on without the network, and tells nobody the token", async () => {
  await withHub(async ({ cwd, commit, run }) => {
    hub.token = SECRET;
    const { code, stdout, stderr } = await run([...SMALL_TRAIN, "--model", "org/tiny"], { HF_TOKEN: SECRET });
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^org\/tiny {2}/)]);
    expect(stdout).toContain(`model   org/tiny@${commit.slice(0, 12)}, `);
    const folder = path.join(cwd, "runs/001-tiny-lora");
    expect(JSON.parse(await readFile(path.join(folder, "config.resolved.json"), "utf8")).model).toBe(
      `org/tiny@${commit}`,
    );
    // The content network has not seen it, nor has anything that was written or said.
    expect(hub.seen.filter(isWeights).map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(hub.seen.filter((request) => !isWeights(request)).every(({ authorization }) => authorization)).toBe(true);
    expect(stdout + stderr).not.toContain(SECRET);
    await expectNowhere(cwd, SECRET);

    // The model of the hub moves on, and cannot be reached.
    await writeSmallModel(path.join(cwd, "other"), { seed: 1 });
    await hub.pushFolder("org/tiny", path.join(cwd, "other"));
    const model = await readFile(path.join(folder, "model/model.safetensors"));
    hub.seen.length = 0;
    const offline = { HF_HUB_OFFLINE: "1" };
    // From the beginning, as after a kill before the first checkpoint: with the commit that is in the cache.
    for (const name of await readdir(folder)) {
      if (name !== "config.resolved.json") await rm(path.join(folder, name), { recursive: true });
    }
    expect(await run(["resume", folder], offline)).toMatchObject({ code: 0, stderr: "" });
    expect(await readFile(path.join(folder, "model/model.safetensors"))).toEqual(model);
    // And from a checkpoint: with the run's own base.
    await rm(path.join(cwd, "hf"), { recursive: true });
    await rm(path.join(folder, "model"), { recursive: true });
    expect(await run(["resume", folder], offline)).toMatchObject({ code: 0, stderr: "" });
    expect(await readFile(path.join(folder, "model/model.safetensors"))).toEqual(model);
    expect(hub.seen).toEqual([]);
  });
});

async function expectNowhere(folder: string, text: string): Promise<void> {
  for (const name of await listTree(folder)) {
    const file = path.join(folder, name);
    if ((await stat(file)).isFile()) expect((await readFile(file, "latin1")).includes(text), file).toBe(false);
  }
}

test("a refusal is one message with exit code 3, on standard error and as JSON, without the token", async () => {
  await withHub(async ({ run }) => {
    hub.token = "hf_another";
    const args = ["eval", "org/tiny", "--data", "a.txt", "--json"];
    const { code, stdout, stderr } = await run(args, { HF_TOKEN: SECRET });
    expect(code).toBe(3);
    expect(stderr).toMatch(/^error: org\/tiny: http.* answers 401: there is no such model, .*\n$/);
    expect(JSON.parse(stdout)).toMatchObject({ error: { name: "CheckpointError" } });
    expect(stdout + stderr).not.toContain(SECRET);
    const training = await run([...SMALL_TRAIN, "--model", "org/tiny"], { HF_TOKEN: SECRET, HIGHRANK_DEBUG: "1" });
    expect(training.code).toBe(3);
    expect(training.stderr).toContain("answers 401");
    expect(training.stdout + training.stderr).not.toContain(SECRET);
  });
});

test("an adapter by name brings the base that it names, in the revision that it names", async () => {
  await withHub(async ({ cwd, commit, run }) => {
    await resultOf(run([...SMALL_TRAIN, "--model", "org/tiny", "--lr", "0.1", "--out", "run", "--json"]));
    await resultOf(run(["export", "run", "--to", "peft", "--out", "adapter", "--json"]));
    const named = { base_model_name_or_path: "org/tiny", revision: commit };
    const configOf = async (folder: string): Promise<unknown> =>
      JSON.parse(await readFile(path.join(cwd, folder, "adapter_config.json"), "utf8"));
    expect(await configOf("adapter")).toMatchObject(named);
    await hub.pushFolder("org/adapter", path.join(cwd, "adapter"));
    // The base moves on.
    hub.push("org/tiny", { "model.safetensors": "other", "config.json": "{}" });
    const evaluate = (...target: string[]): Promise<Record<string, unknown>> =>
      resultOf(run(["eval", ...target, "--data", "a.txt", "--json"]));
    const adapted = await evaluate("org/adapter");
    expect(adapted).toEqual(await evaluate("adapter", "--base", "tiny"));
    expect(adapted.loss).toBeCloseTo((await evaluate("run")).loss as number, 5);
    expect(adapted).toEqual(await evaluate("org/adapter", "--base", `org/tiny@${commit}`));
    const base = await evaluate("org/adapter", "--adapter", "none");
    expect(base).toEqual(await evaluate("tiny"));
    expect(base.loss).not.toBe(adapted.loss);
    const renamed = ["--base", "new-org/tiny@v1", "--out", "renamed"];
    await resultOf(run(["export", "org/adapter", "--to", "peft", ...renamed, "--json"]));
    expect(await configOf("renamed")).toMatchObject({ base_model_name_or_path: "new-org/tiny", revision: "v1" });
  });
});

test("every verb that takes a model takes its name", async () => {
  await withHub(async ({ cwd, run }) => {
    const same = async (...args: string[]): Promise<void> => {
      const byName = await resultOf(run([...args, "--json"]));
      for (const out of ["merged", "onnx", "nf4"]) await rm(path.join(cwd, out), { recursive: true, force: true });
      const local = await resultOf(run([...args, "--json"].map((arg) => (arg === "org/tiny" ? "tiny" : arg))));
      for (const timed of ["path", "msPerPromptToken", "msPerToken"])
        for (const each of [byName, local]) delete each[timed];
      expect(byName, args[0]).toEqual(local);
    };
    await same("inspect", "org/tiny");
    await same("generate", "org/tiny", "--max-new-tokens", "3");
    await same("merge", "org/tiny", "--out", "merged");
    await same("export", "org/tiny", "--to", "onnx", "--out", "onnx");
    await same("quantize", "org/tiny", "--to", "nf4", "--out", "nf4");
    await same("data", "a.txt", "--model", "org/tiny");
  });
});

test("data asks for the tokenizer alone, and train takes one by name", async () => {
  await withHub(async ({ cwd, commit, run }) => {
    await resultOf(run(["data", "a.txt", "--tokenizer", "org/tiny", "--json"]));
    const args = [...SMALL_TRAIN, "--model", "tiny", "--tokenizer", "org/tiny", "--out", "run", "--json"];
    await resultOf(run(args));
    expect(hub.seen.filter(isWeights)).toEqual([]);
    const { tokenizer } = JSON.parse(await readFile(path.join(cwd, "run/config.resolved.json"), "utf8"));
    expect(tokenizer).toBe(`org/tiny@${commit}`);
  });
});

test("a download that is killed goes on with the bytes that it has", async () => {
  await withHub(async ({ cwd, environment, run }) => {
    const { size } = await stat(path.join(cwd, "tiny/model.safetensors"));
    const half = Math.floor(size / 2);
    let arrived = (): void => {};
    const hasArrived = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const blobs = path.join(environment.HF_HOME!, "hub/models--org--tiny/blobs");
    const begun = async (): Promise<number> => {
      const name = (await readdir(blobs).catch(() => [])).find((file) => file.endsWith(".incomplete"));
      return name === undefined ? 0 : (await stat(path.join(blobs, name))).size;
    };
    const wait = async (): Promise<void> => {
      while ((await begun()) < half) await new Promise((resolve) => setTimeout(resolve, 5));
      arrived();
      // Then silence, until the process is gone.
      await ended;
    };
    hub.trouble = (request) => (isWeights(request) ? { cutAfter: half, wait } : undefined);
    const child = spawn(process.execPath, [MAIN, "inspect", "org/tiny"], {
      cwd,
      env: { ...process.env, ...environment },
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    await hasArrived;
    child.kill("SIGKILL");
    await ended;
    hub.trouble = () => undefined;
    await resultOf(run(["inspect", "org/tiny", "--json"]));
    expect(hub.seen.filter(isWeights).map(({ range, sent }) => [range, sent])).toEqual([
      [undefined, half],
      [`bytes=${half}-`, size - half],
    ]);
  });
});

test("of two processes that want a model at once one downloads it", async () => {
  await withHub(async ({ cwd, environment }) => {
    const { size } = await stat(path.join(cwd, "tiny/model.safetensors"));
    let waits = (): void => {};
    const oneWaits = new Promise<void>((resolve) => {
      waits = resolve;
    });
    hub.trouble = (request) => (isWeights(request) ? { wait: () => oneWaits } : undefined);
    const inspect = (): Promise<[number | null, string]> =>
      new Promise((resolve) => {
        const args = [MAIN, "inspect", "org/tiny", "--json"];
        const child = spawn(process.execPath, args, { cwd, env: { ...process.env, ...environment } });
        let output = "";
        child.stdout.setEncoding("utf8").on("data", (text) => {
          output += text;
        });
        child.stderr.setEncoding("utf8").on("data", (text) => {
          if (/org\/tiny is in use by process \d+ .*: waiting for it/.test(text)) waits();
        });
        child.on("close", (code) => resolve([code, output]));
      });
    const [first, second] = await Promise.all([inspect(), inspect()]);
    expect(first[0]).toBe(0);
    expect(first).toEqual(second);
    expect(hub.seen.filter(isWeights).map(({ sent }) => sent)).toEqual([size]);
  });
});

const STUDY = `
seeds: [1]
settings: {model: org/tiny, data: a.txt, batchSize: 2, sequenceLength: 16, maxSteps: 2, rank: 2, sampleTokens: 0, threads: 1}
arms:
  low: {method: lora, rank: 1}
  high: {method: lora}
reference: {low: low, high: high}
`;

test("a study takes one commit for all of its runs, and says when the branch has moved since", async () => {
  await withHub(async ({ cwd, commit, run }) => {
    await writeFile(path.join(cwd, "study.yaml"), STUDY);
    const compare = ["compare", "study.yaml", "--out", "study"];
    expect(await run(compare)).toMatchObject({ code: 0 });
    for (const arm of ["low", "high"]) {
      const config = path.join(cwd, "study/runs", arm, "seed-1/config.resolved.json");
      expect(JSON.parse(await readFile(config, "utf8")).model).toBe(`org/tiny@${commit}`);
    }
    await writeSmallModel(path.join(cwd, "other"), { seed: 1 });
    const moved = await hub.pushFolder("org/tiny", path.join(cwd, "other"));
    const { code, stderr } = await run(compare);
    expect(code).toBe(2);
    expect(stderr).toContain(`model was "org/tiny@${commit}", is "org/tiny@${moved}"`);
    await writeFile(path.join(cwd, "study.yaml"), STUDY.replace("org/tiny", `org/tiny@${commit}`));
    expect(await run(compare)).toMatchObject({ code: 0 });
  });
});

test("push sends a run's adapter with its base of the hub, a second time nothing, and shows no token", async () => {
  await withHub(async ({ cwd, commit, run }) => {
    expect((await run([...SMALL_TRAIN, "--model", "org/tiny", "--out", "run"])).code).toBe(0);
    hub.token = SECRET;
    const planned = await run(["push", "run", "me/mine", "--dry-run"]);
    expect(planned.stdout).toMatch(/^push {6}me\/mine, private: 5 files, .*\ndry run: nothing was sent\n$/s);
    const refused = await run(["push", "run", "me/mine"]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/needs a token.*HF_TOKEN/)]);
    const sent = await run(["push", "run", "me/mine"], { HF_TOKEN: SECRET });
    expect(sent.stdout).toMatch(/\nsent {6}5 files, .*\n\nNext: highrank generate me\/mine --prompt /s);
    const files = hub.filesOf("me/mine")!;
    const config = JSON.parse(files.get("adapter_config.json")!.toString());
    expect(config).toMatchObject({ base_model_name_or_path: "org/tiny", revision: commit });
    expect(files.get("README.md")!.toString()).toMatch(/^---\nbase_model: org\/tiny\nbase_model_relation: adapter\n/);
    for (const bytes of files.values()) expect(bytes.includes(cwd)).toBe(false);
    const again = await run(["push", "run", "me/mine"], { HF_TOKEN: SECRET });
    expect(again.stdout).toContain("sent      nothing: the hub has all of it");
    expect(`${sent.stdout}${sent.stderr}${refused.stderr}${again.stderr}`).not.toContain(SECRET);
  });
});
