// Processes of an MPI job train together: the same bits on any number of them, and what happens when one is lost.
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseMetrics } from "../src/runs/metrics.js";
import { Job, rankProcesses, runJob } from "./mpi/job.js";
import { isMissing, LIBRARIES } from "./mpi/mpirun.js";
import { runCommand } from "./run-command.js";
import { runContents } from "./run-contents.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-mpi-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const COMMON = [
  ...["--total-batch-size", "4", "--sequence-length", "32", "--threads", "1"],
  ...["--eval-tokens", "300", "--sample-tokens", "3"],
];
const ONE = ["--batch-size", "1"];
const CHATS = path.join(import.meta.dirname, "../examples/chats.jsonl");
const RUNS = {
  "nano from scratch, with a warm start": [
    ...["train", "--model", "nano", "--method", "relora", "--rank", "8", "--vocab-size", "400", ...ONE, ...COMMON],
    ...["--max-steps", "8", "--warm-start-steps", "3", "--relora-every", "3", "--eval-every", "4", "--save-every", "4"],
  ],
  "NF4 with two merges": nf4Of(8),
  "LoRA with dropout on chats": [
    ...["train", "--model", "tiny", "--method", "lora", "--rank", "4", "--dropout", "0.1", "--data", CHATS],
    ...["--chat-template", "chatml", "--vocab-size", "400", ...ONE, ...COMMON, "--max-steps", "6", "--eval-every", "3"],
  ],
} as const;

/** A run of so many steps on quantized weights. */
function nf4Of(maxSteps: number, batchSize = 1): string[] {
  return [
    ...["train", "--model", "tiny", "--method", "relora", "--rank", "4", "--quantize", "nf4", "--vocab-size", "300"],
    ...["--batch-size", String(batchSize), ...COMMON, "--max-steps", String(maxSteps)],
    ...["--warm-start-steps", "0", "--relora-every", "3", "--eval-every", "4"],
  ];
}

/** A run that goes on until something ends it. */
const ENDLESS = nf4Of(100_000);

/** Many processes start, one after another. */
const LONG = { timeout: 900_000 };

const placeOf = (words: string): string => path.join(folder, words.replaceAll(/[ ,]+/g, "-"));

/** What a run on one process left. */
const alone = new Map<string, Record<string, unknown>>();

async function aloneOf(name: keyof typeof RUNS): Promise<Record<string, unknown>> {
  const known = alone.get(name);
  if (known !== undefined) return known;
  const out = placeOf(`${name} alone`);
  const { code, stderr } = await runCommand([...RUNS[name], "--out", out]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const contents = await runContents(out);
  alone.set(name, contents);
  return contents;
}

/** What a job left, without the files of the ranks. */
async function contentsOf(out: string): Promise<Record<string, unknown>> {
  const contents = await runContents(out);
  return Object.fromEntries(Object.entries(contents).filter(([name]) => !/^rank-\d+\.log$/.test(name)));
}

describe.each(LIBRARIES)("%s", (library) => {
  describe.skipIf(isMissing(library))("as it is installed", () => {
    test.each(Object.keys(RUNS) as (keyof typeof RUNS)[])("%s: the files of one process", LONG, async (name) => {
      const expected = await aloneOf(name);
      for (const ranks of library === "openmpi" ? [2, 4] : [4]) {
        const out = placeOf(`${name} ${library} ${ranks}`);
        const { code } = await runJob(library, ranks, [...RUNS[name], "--out", out]);
        expect({ code, contents: await contentsOf(out) }).toEqual({ code: 0, contents: expected });
      }
    });

    test("SIGUSR1 to the launcher stops all ranks after one step, saved", async () => {
      const out = placeOf(`signalled ${library}`);
      const job = new Job(library, 2, [...ENDLESS, "--out", out]);
      await job.untilStep(out, 5);
      job.signal("SIGUSR1");
      const { code, stdout } = await job.ended;
      const records = parseMetrics(await readFile(path.join(out, "metrics.jsonl"), "utf8"));
      const last = records.at(-1)!;
      expect(last).toMatchObject({ kind: "end", outcome: "stopped" });
      expect(stdout).toContain("Stopping and saving after this step");
      expect((await readFile(path.join(out, "last"), "utf8")).trim()).toBe(`checkpoint-${pad(last.step)}`);
      expect(readFileSync(path.join(out, "rank-1.log"), "utf8")).toContain(`stop    ${last.step} steps`);
      // After a signal Hydra, MPICH's launcher, counts some of its ranks' codes as 0, whatever they were.
      expect(library === "mpich" ? [0, 138] : [138]).toContain(code);
    });

    test("a rank that hangs ends the job with the step in words, and no process is left", async () => {
      const out = placeOf(`hung ${library}`);
      const args = [...ENDLESS, "--mpi-timeout", "10", "--out", out];
      const job = new Job(library, 2, args);
      await job.untilStep(out, 5);
      process.kill((await rankProcesses(out))[1]!, "SIGSTOP");
      const { code, stderr } = await job.ended;
      expect(stderr).toMatch(
        /error: rank 0 of 2, after step \d+: nothing from rank 1 for 10 s; all ranks end with exit/,
      );
      expect(code).toBe(75);
      await vi.waitFor(async () => expect(await rankProcesses(out)).toEqual([]), { timeout: 20_000 });
    });

    test("a rank that fails by itself names itself, its step and the fault", async () => {
      const out = placeOf(`failing ${library}`);
      const job = new Job(library, 2, [...ENDLESS, "--out", out]);
      await job.untilStep(out, 2);
      // Rank 1 reads the cycles from the folder.
      await rm(path.join(out, "base"), { recursive: true });
      const { code, stderr } = await job.ended;
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/error: /);
    });

    test("the header says what is shared and sent, and only the first rank prints", async () => {
      const out = placeOf(`header ${library}`);
      const { stdout, stderr } = await runJob(library, 2, [...RUNS["NF4 with two merges"], "--out", out]);
      const header = stdout.replaceAll(/\s+/g, " ");
      expect(header).toContain("ranks 2, 1 thread each; 2 of the 4 micro-batches of a step each; each sends up to ");
      expect(header).toContain("the bits are those of one process with as many threads run");
      expect(header).toMatch(/sent to other ranks/);
      expect(stdout.match(/^loss /gm)).toHaveLength(1);
      expect(stdout + stderr).not.toContain("\u001b");
      expect(await readdir(out)).toContain("rank-1.log");
    });

    test("ranks with a folder of their own for what they read end as others do, and leave nothing there", async () => {
      const [out, scratch] = [placeOf(`unseen ${library}`), placeOf(`scratch ${library}`)];
      const expected = await aloneOf("NF4 with two merges");
      const job = await runJob(library, 2, [...RUNS["NF4 with two merges"], "--scratch", scratch, "--out", out]);
      expect({ code: job.code, stderr: job.stderr }).toEqual({ code: 0, stderr: "" });
      const { "config.resolved.json": _, ...contents } = await contentsOf(out);
      expect(expected).toMatchObject(contents);
      expect(await readdir(scratch)).toEqual([]);
    });

    test("micro-batches that ranks cannot share, and verbs of one process, are refused in one line", async () => {
      const out = placeOf(`refused ${library}`);
      const uneven = await runJob(library, 2, [...nf4Of(8, 4), "--out", out]);
      expect(uneven.stderr).toContain("--batch-size 4: an update has 1 micro-batch, which 2 ranks cannot share");
      expect(uneven.stderr).toContain("set --batch-size 2");
      const verb = await runJob(library, 2, ["generate", out, "--prompt", "a"]);
      expect(verb.stderr).toContain("generate is the work of one process, and mpirun of");
      for (const { stderr, code } of [uneven, verb]) {
        expect(stderr.match(/error:/g)).toHaveLength(1);
        expect(code).toBe(2);
      }
    });
  });
});

/** Kills at random steps, one for each number of ranks that go on; HIGHRANK_RANK_KILLS asks for more. */
const KILLS = Number(process.env.HIGHRANK_RANK_KILLS ?? 3);

describe.skipIf(isMissing("openmpi"))("a rank that is killed", () => {
  const SAVED_OFTEN = [...nf4Of(30), "--save-every", "3"];

  test("ends the job; the run goes on, on 1, 2 and 4 ranks, to the files of the unbroken one", LONG, async () => {
    const unbroken = placeOf("unbroken");
    expect((await runCommand([...SAVED_OFTEN, "--out", unbroken])).code).toBe(0);
    const expected = await runContents(unbroken);
    for (let kill = 0; kill < KILLS; kill++) {
      const out = placeOf(`killed ${kill}`);
      const job = new Job("openmpi", 2, [...SAVED_OFTEN, "--out", out]);
      await job.untilStep(out, 1 + Math.floor(28 * Math.random()));
      const victim = (await rankProcesses(out))[Math.floor(2 * Math.random())];
      if (victim !== undefined) process.kill(victim, "SIGKILL");
      const { code } = await job.ended;
      if (victim !== undefined) expect(code).not.toBe(0);
      expect(await rankProcesses(out)).toEqual([]);
      const ranks = [1, 2, 4][kill % 3]!;
      const resumed = ranks === 1 ? await runCommand(["resume", out]) : await runJob("openmpi", ranks, ["resume", out]);
      expect(resumed.code).toBe(0);
      expect(await contentsOf(out)).toEqual(expected);
    }
  });
});

function pad(step: number): string {
  return String(step).padStart(6, "0");
}
