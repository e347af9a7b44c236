import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startProcess } from "./node-processes.js";
import type { WorkerHandle } from "./node-workers.js";

// The process's side runs from the built files, as in production; `npm test` builds before it tests.
const PLATFORM = new URL("../../dist/platform/node.js", import.meta.url).href;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-process-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function moduleOf(name: string, source: string): Promise<URL> {
  const file = path.join(folder, `${name}.mjs`);
  await writeFile(file, source);
  return pathToFileURL(file);
}

function nextMessage(handle: WorkerHandle): Promise<unknown> {
  return new Promise((resolve, reject) => {
    handle.onMessage(resolve);
    handle.onError(reject);
  });
}

const ECHO = `
  import { inWorker } from "${PLATFORM}";
  inWorker((port) => port.onMessage((message) => {
    port.post({ message, data: port.data, pid: process.pid });
    port.close();
  }));
`;

test("a process gets its data, answers messages and ends when it closes", async () => {
  const handle = startProcess(await moduleOf("echo", ECHO), { rank: 8, none: null });
  const answer = nextMessage(handle);
  handle.post("hello");
  const { pid, ...rest } = (await answer) as { pid: number };
  expect(rest).toEqual({ message: "hello", data: { rank: 8, none: null } });
  expect(pid).not.toBe(process.pid);
  await handle.terminate();
});

test.each([
  ["process.exit(3);", "exit code 3"],
  ["process.kill(process.pid, 'SIGKILL');", "SIGKILL"],
])("a process that ends early (%s) is heard", async (source, message) => {
  const handle = startProcess(await moduleOf("early", source), {});
  await expect(nextMessage(handle)).rejects.toThrow(message);
});

/** A program that starts a process which waits for messages, and prints the process's id. */
const STARTER = (url: URL): string => `
  import { startProcess } from "${PLATFORM}";
  const handle = startProcess(new URL("${url.href}"), {});
  handle.onMessage((pid) => console.log(pid));
`;

test("a process does not outlive the one that started it, and signals do not end it", async () => {
  const waiting = await moduleOf(
    "waiting",
    `
      import { inWorker } from "${PLATFORM}";
      inWorker((port) => {
        port.onMessage(() => {});
        process.kill(process.pid, "SIGINT");
        setTimeout(() => port.post(process.pid), 50);
      });
    `,
  );
  const program = spawn(process.execPath, ["--input-type=module", "-e", STARTER(waiting)]);
  const pid = Number(await new Promise((resolve) => program.stdout.once("data", resolve)));
  expect(() => process.kill(pid, 0)).not.toThrow();
  program.kill("SIGKILL");
  await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
