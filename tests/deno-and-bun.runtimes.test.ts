import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type CommandResult, listTree, withFolder } from "./run-command.js";
import { runContents } from "./run-contents.js";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const BIN = here("../bin/highrank.js");
const MODULES = here("runtimes/node_modules");

/** The runtime's program for this platform, from the packages that `deno` and `bun` choose it from, and its arguments. */
function programOf(scope: string, file: string, args: readonly string[] = []): readonly string[] | null {
  const folder = path.join(MODULES, scope);
  const [found] = existsSync(folder) ? readdirSync(folder) : [];
  return found === undefined ? null : [path.join(folder, found, file), ...args];
}

const RUNTIMES = [
  { name: "Deno", program: programOf("@deno", "deno", ["run", "-A"]) },
  { name: "Bun", program: programOf("@oven", "bin/bun") },
];

/** Runs a module in `folder`, with a home of its own and none of the variables that keep ONNX Runtime quiet. */
async function run(program: readonly string[], folder: string, args: readonly string[]): Promise<CommandResult> {
  const [home, temporary] = [path.join(folder, "home"), path.join(folder, "temporary")];
  await mkdir(home, { recursive: true });
  await mkdir(temporary, { recursive: true });
  const env = { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: path.join(home, "cache"), TMPDIR: temporary };
  const child = spawn(program[0]!, [...program.slice(1), ...args], {
    cwd: folder,
    env: { ...env, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text) => {
      texts[name] += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, ...texts };
}

const TEXT = Array.from({ length: 60 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`).join("\n\n");
const TRAIN =
  "train --model tiny --data a.txt --out run --vocab-size 280 --sequence-length 16 --batch-size 2 --rank 4 " +
  "--method relora --quantize nf4 --dropout 0.1 --warm-start-steps 2 --relora-every 4 --max-steps 10 --eval-every 5 " +
  "--save-every 3 --keep-checkpoints none";

/** A run of `BIN` without what other engines round in another way: the last digit of an exponential. */
async function contentsOf(folder: string): Promise<unknown> {
  const contents = await runContents(path.join(folder, "run"));
  const records = contents["metrics.jsonl"] as readonly { readonly perplexity?: number }[];
  const rounded = records.map((record) =>
    record.perplexity === undefined ? record : { ...record, perplexity: record.perplexity.toPrecision(12) },
  );
  return { ...contents, "metrics.jsonl": rounded };
}

/** Runs a verb; it must end well and say nothing on standard error. */
async function verb(program: readonly string[], folder: string, line: string): Promise<string> {
  const { code, stdout, stderr } = await run(program, folder, [BIN, ...line.split(" ")]);
  expect({ code, stderr }, `${line}\n${stdout}`).toEqual({ code: 0, stderr: "" });
  return stdout;
}

const NODE = [process.execPath];
const withText = (use: (folder: string) => Promise<void>): Promise<void> => withFolder({ "a.txt": TEXT }, use);

for (const { name, program } of RUNTIMES) {
  const isMissing = program === null && process.env.CI !== "true";
  if (isMissing) console.warn(`SKIPPED: ${name} needs npm ci --prefix tests/runtimes --ignore-scripts`);

  describe.skipIf(isMissing)(name, () => {
    test(
      "trains, resumes, evaluates and generates to the bits of Node.js, and leaves nothing elsewhere",
      () =>
        withText((own) =>
          withText(async (other) => {
            await verb(NODE, own, TRAIN);
            await verb(program!, other, TRAIN);
            const contents = await contentsOf(own);
            expect(await contentsOf(other)).toEqual(contents);
            await verb(program!, own, "resume run --checkpoint 6");
            expect(await contentsOf(own)).toEqual(contents);
            const { perplexity: _, ...evaluation } = JSON.parse(await verb(NODE, own, "eval run --data a.txt --json"));
            expect(JSON.parse(await verb(program!, other, "eval run --data a.txt --json"))).toMatchObject(evaluation);
            const generate = "generate run --prompt The --max-new-tokens 12 --seed 3";
            expect(await verb(program!, other, generate)).toBe(await verb(NODE, own, generate));
            // ONNX Runtime's telemetry would write here.
            const left = [
              ...(await listTree(path.join(other, "home"))),
              ...(await listTree(path.join(other, "temporary"))),
            ];
            expect(left.filter((file) => /Microsoft|onnxruntime|mat-debug/.test(file))).toEqual([]);
          }),
        ),
      400_000,
    );

    test("reads Parquet and chats, in processes of their own", () =>
      withFolder({}, async (folder) => {
        await copyFile(here("golden/parquet/messages-snappy.parquet"), path.join(folder, "chats.parquet"));
        const data = `data chats.parquet --chat-template ${here("data/templates/chatml.jinja")} --json`;
        expect(JSON.parse(await verb(program!, folder, data))).toEqual(JSON.parse(await verb(NODE, folder, data)));
      }));

    test("encodes on all cores", () =>
      withFolder({}, async (folder) => {
        const { stdout, stderr } = await run(program!, folder, [here("data/encode-on-all-cores.js")]);
        expect(stdout, stderr).toBe('true\n"by a thread"\n');
      }));

    test("stops work that takes too long or too much memory", () =>
      withFolder({}, async (folder) => {
        const platform = new URL("../dist/platform/node.js", import.meta.url).href;
        await writeFile(
          path.join(folder, "work.js"),
          `import { inWorker } from ${JSON.stringify(platform)};
           inWorker((port) =>
             port.onMessage((what) => {
               const kept = [];
               for (;;) if (what === "fill") kept.push({ value: [kept.length] });
             }));`,
        );
        await writeFile(
          path.join(folder, "main.js"),
          `import { openLimited, withTimeLimit } from ${JSON.stringify(platform)};
           const said = (error) => console.log(error.message);
           const work = new URL("work.js", import.meta.url);
           for (const [what, seconds] of [["turn", 1], ["fill", 60]]) {
             const limited = openLimited(work, { seconds, heapMegabytes: 64 });
             await limited.ask(what).catch(said);
             limited.stop();
           }
           try { withTimeLimit(0.1, () => { for (;;); }); } catch (error) { said(error); }`,
        );
        const { stdout, stderr } = await run(program!, folder, ["main.js"]);
        // Bun's engine has no limit on the heap: the process as a whole has one.
        const full = `it took more than ${name === "Bun" ? 640 : 64} MiB of memory`;
        expect(stdout, stderr).toBe(`it did not finish within 1 s\n${full}\nit did not finish within 1 s\n`);
      }));

    test("doctor names it", () =>
      withFolder({}, async (folder) => {
        expect(await verb(program!, folder, "doctor")).toMatch(new RegExp(`^${name} +\\d+\\.\\d+\\.\\d+ `, "m"));
      }));
  });
}
