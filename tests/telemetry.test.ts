import { spawn, spawnSync } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { listTree, withFolder } from "./run-command.js";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const LIBRARY = new URL("../dist/index.js", import.meta.url).href;
const TEXT = Array.from({ length: 60 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`).join("\n\n");

const isMissing = spawnSync("strace", ["-V"]).status !== 0;
if (isMissing && process.env.CI !== "true") {
  console.warn("SKIPPED: the tests of what is written and sent unasked need Debian's package strace");
}

/** What Node.js did, with all its threads and child processes. */
interface Trace {
  readonly stderr: string;
  /** Calls that ask for a socket or use one. */
  readonly network: readonly string[];
  /** Paths that were opened for writing, made, renamed or removed, outside of the temporary folder. */
  readonly changed: readonly string[];
  /** What is left in the home and the temporary folder. */
  readonly left: readonly string[];
}

const NETWORK = /^(socket|connect|bind|listen|sendto|sendmm?sg)\(/;
const CHANGE = /^(open\w*\(.*O_(WRONLY|RDWR|CREAT)|creat|mk|rename|link|symlink|truncate|unlink|rmdir|ch[mo]|utime)/;

/** Runs Node.js in `folder`, with a home and a temporary folder there. It gets no socket, so nothing is really sent. */
async function trace(folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Trace> {
  const [home, tmp, log] = [path.join(folder, "home"), path.join(folder, "tmp"), path.join(folder, "trace")];
  await mkdir(home, { recursive: true });
  await mkdir(tmp, { recursive: true });
  const flags = "-f -y --seccomp-bpf -e trace=%network,%file -e inject=socket:error=EACCES -o".split(" ");
  const child = spawn("strace", [...flags, log, process.execPath, ...args], {
    cwd: folder,
    // Without CI, where ONNX Runtime collects nothing anyway.
    env: { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: path.join(home, "cache"), TMPDIR: tmp, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code, stderr).toBe(0);
  const calls = (await readFile(log, "utf8")).split("\n").map((line) => line.replace(/^\d+ +/, ""));
  const changed = calls
    .filter((call) => CHANGE.test(call))
    .flatMap((call) => [...call.matchAll(/(?:<([^>]*)>, )?"([^"]*)"/g)])
    .map(([, parent = "", name]) => path.resolve(folder, parent, name!));
  return {
    stderr,
    network: calls.filter((call) => NETWORK.test(call)),
    changed: changed.filter((name) => !name.startsWith(tmp)),
    left: [...(await listTree(home)), ...(await listTree(tmp))],
  };
}

describe.skipIf(isMissing && process.env.CI !== "true")("under strace", () => {
  test("train, eval and generate ask for no socket, write where they are told to, and leave nothing elsewhere", () =>
    withFolder({ "a.txt": TEXT }, async (folder) => {
      const size = "--model tiny --vocab-size 280 --sequence-length 16 --batch-size 2 --rank 4";
      const train = `train --data a.txt --out run ${size} --warm-start-steps 1 --relora-every 2 --max-steps 4`;
      const run = path.join(folder, "run");
      for (const command of [train, "eval run --data a.txt", "generate run --max-new-tokens 3"]) {
        const { network, changed, left } = await trace(folder, [MAIN, ...command.split(" ")]);
        expect({ network, left }, command).toEqual({ network: [], left: [] });
        const elsewhere = changed.filter((name) => name !== run && !name.startsWith(`${run}/`));
        expect(elsewhere, command).toEqual([]);
        expect(changed.includes(`${run}/metrics.jsonl`), command).toBe(command === train);
      }
    }));

  const COMPUTE = `import("${LIBRARY}").then(({ add, tensor }) => add(tensor([1, 2]), 1).data());`;
  const inWorker = (options = "", compute = COMPUTE): string =>
    `const threads = await import("node:worker_threads");
     new threads.Worker(${JSON.stringify(compute)}, { eval: true, ${options} });`;
  const IMPORT = `import "${LIBRARY}";`;
  const [OFF, ON] = [{ ORT_DISABLE_TELEMETRY: "1" }, { ORT_DISABLE_TELEMETRY: "0" }];

  test.each([
    ["the library", COMPUTE, {}],
    ["a worker of a program that imports the library", IMPORT + inWorker(), {}],
    ["its worker with an environment of its own", IMPORT + inWorker("env: {}"), {}],
    ["a worker that alone imports the library, but shares the environment", inWorker("env: threads.SHARE_ENV"), {}],
    ["a worker that alone imports the library in a process that opted out", inWorker(), OFF],
  ])("%s: no telemetry, no warning", (_, program, env) =>
    withFolder({ "main.mjs": program }, async (folder) => {
      const traced = await trace(folder, ["main.mjs"], env);
      expect(traced).toEqual({ stderr: "", network: [], changed: [], left: [] });
    }),
  );

  test("a trace shows a program that connects", () =>
    withFolder({ "main.mjs": 'await fetch("http://127.0.0.1").catch(() => {});' }, async (folder) => {
      const { network } = await trace(folder, ["main.mjs"]);
      expect(network).toEqual([expect.stringMatching(/^socket\(AF_INET, .*EACCES.*\(INJECTED\)$/)]);
    }));

  const WARNING = /^\(node:\d+\) Warning: ONNX Runtime collects telemetry in this process, .*\n.*\n$/;

  test.each([
    ["the library where the user asks for telemetry", COMPUTE, ON, /^$/],
    ["a worker that alone imports the library where the user asks for telemetry", inWorker(), ON, /^$/],
    ["a worker that alone imports the library", inWorker(), {}, WARNING],
    [
      "a worker that opts out for itself",
      inWorker("", `process.env.ORT_DISABLE_TELEMETRY = "1"; ${COMPUTE}`),
      {},
      WARNING,
    ],
  ])("%s: telemetry", (_, program, env, said) =>
    withFolder({ "main.mjs": program }, async (folder) => {
      const { stderr, changed, left } = await trace(folder, ["main.mjs"], env);
      expect(stderr).toMatch(said);
      const deviceId = "cache/Microsoft/DeveloperTools/.onnxruntime/deviceid";
      expect(left).toContain(deviceId);
      expect(changed).toContain(path.join(folder, "home", deviceId));
    }),
  );
});
