import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  allowedCores,
  availableMemoryBytes,
  cpuCount,
  extension,
  freeDiskBytes,
  heldMemoryBytes,
  inWorker,
  machineIdentity,
  peakMemoryBytes,
  residentMemoryBytes,
  sha256,
  sha256File,
  startWorker,
  totalMemoryBytes,
} from "./node.js";
import { builtModule } from "./node-modules.js";
import { packageFile } from "./node-paths.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-machine-"));
});
afterAll(async () => rm(folder, { recursive: true }));

// The digest of "abc": FIPS 180-2, appendix B.1.
const ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

test("SHA-256 of bytes, chunks and files is the standard's", async () => {
  const bytes = new TextEncoder().encode("abc");
  expect(sha256(bytes)).toBe(ABC);
  expect(sha256([bytes.subarray(0, 1), bytes.subarray(1)])).toBe(ABC);
  await writeFile(path.join(folder, "abc"), bytes);
  expect(await sha256File(path.join(folder, "abc"))).toBe(ABC);
  // More than is read at once, and not a multiple of that.
  const long = Uint8Array.from({ length: 2 ** 23 + 3 }, (_, i) => i % 251);
  await writeFile(path.join(folder, "long"), long);
  expect(await sha256File(path.join(folder, "long"))).toBe(sha256(long));
});

test("memory, disk and processors are plausible", async () => {
  expect(cpuCount()).toBeGreaterThanOrEqual(1);
  expect(availableMemoryBytes()).toBeGreaterThan(2 ** 20);
  expect(availableMemoryBytes()).toBeLessThanOrEqual(totalMemoryBytes());
  expect(await freeDiskBytes(folder)).toBeGreaterThan(0);
});

test("peak memory counts memory that was held and given back", () => {
  expect(residentMemoryBytes()).toBeGreaterThan(2 ** 20);
  expect(residentMemoryBytes()).toBeLessThanOrEqual(peakMemoryBytes());
  const held = heldMemoryBytes();
  const array = new Float64Array(2 ** 20);
  expect(heldMemoryBytes() - held).toBeGreaterThan(0.9 * array.byteLength);
  const before = peakMemoryBytes();
  expect(before).toBeGreaterThanOrEqual(process.memoryUsage.rss() / 2);
  new Uint8Array(2 ** 28).fill(1);
  expect(peakMemoryBytes()).toBeGreaterThan(before + 2 ** 27);
});

test("a file of an installed package is found; one that is missing is named", () => {
  expect(existsSync(packageFile("onnxruntime-common", "package.json"))).toBe(true);
  expect(() => packageFile("onnxruntime-common", "nothing.txt")).toThrow("npm install onnxruntime-common");
});

test("an extension is lower case with its dot", () => {
  expect([extension("a/B.TXT"), extension("a.b/c")]).toEqual([".txt", ""]);
});

test("the main thread does no work of a worker", () => {
  expect(() => inWorker(() => {})).toThrow("startWorker");
});

test("a module of the sources is started in its built form; others unchanged", () => {
  for (const name of ["worker.js", "worker.ts"]) {
    expect(builtModule(new URL(`../training/${name}`, import.meta.url)).href).toMatch(
      /(?<!src)\/dist\/training\/worker\.js$/,
    );
  }
  expect(builtModule(new URL("file:///elsewhere/src/worker.js")).href).toBe("file:///elsewhere/src/worker.js");
});

async function worker(source: string) {
  const file = path.join(folder, `worker-${source.length}.mjs`);
  await writeFile(file, source);
  return startWorker(pathToFileURL(file), { greeting: "hello" });
}

test("a worker gets its data, answers messages and ends when told", async () => {
  const handle = await worker(`
    import { parentPort, workerData } from "node:worker_threads";
    parentPort.on("message", (name) => parentPort.postMessage(workerData.greeting + " " + name));
  `);
  const answer = new Promise((resolve, reject) => {
    handle.onMessage(resolve);
    handle.onError(reject);
  });
  handle.post("world");
  expect(await answer).toBe("hello world");
  await handle.terminate();
});

// The worker's side runs from the built files, as in production; `npm test` builds before it tests.
const built = new URL("../../dist/", import.meta.url);
test.runIf(existsSync(built))(
  "a worker reaches its starter, loads built files alone, and ends when it closes",
  async () => {
    const handle = await worker(`
    import { inWorker } from "${new URL("platform/node.js", built)}";
    import { readJsonObject } from "${new URL("files/json-file.js", built)}"; // this imports #platform
    inWorker((port) => port.onMessage((message) => {
      const doubled = message.map((value) => 2 * value);
      port.post({ doubled, kind: typeof readJsonObject, data: port.data }, [doubled.buffer]);
      port.close();
    }));
  `);
    const answer = new Promise((resolve, reject) => {
      handle.onMessage(resolve);
      handle.onError(reject);
    });
    handle.post(new Float32Array([1, 2]));
    expect(await answer).toEqual({
      doubled: new Float32Array([2, 4]),
      kind: "function",
      data: { greeting: "hello" },
    });
    await handle.terminate();
  },
);

test.each([
  ["throws", "setTimeout(() => { throw new Error('broken'); }, 1);", "broken"],
  ["exits", "process.exit(3);", "exit code 3"],
])("a worker that %s is heard once", async (_, source, message) => {
  const handle = await worker(source);
  const errors: string[] = [];
  await new Promise<void>((resolve) => {
    handle.onError((error) => {
      errors.push(error.message);
      setTimeout(resolve, 50);
    });
  });
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain(message);
});

test("a process has as many cores to run on as it may run threads, on a machine that it can name", () => {
  const cores = allowedCores();
  expect(cores).toHaveLength(cpuCount());
  expect(new Set(cores).size).toBe(cores.length);
  expect(machineIdentity()).toMatch(/\S/);
  expect(machineIdentity()).toBe(machineIdentity());
});
