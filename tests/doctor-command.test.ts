import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os, { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "./run-command.js";
import { TEXT } from "./small-model.js";

const SMALL =
  "--data a.txt --model tiny --method lora --rank 2 --vocab-size 280 --sequence-length 16 --batch-size 2 --max-steps 4 " +
  "--save-every 2 --keep-checkpoints none --eval-every none --sample-tokens 0 --threads 1 --out run";

let cwd = "";
beforeAll(async () => {
  cwd = await mkdtemp(path.join(tmpdir(), "highrank-doctor-"));
  await writeFile(path.join(cwd, "a.txt"), TEXT);
  expect((await runCommand(["train", ...SMALL.split(" ")], { cwd })).code).toBe(0);
});
afterAll(() => rm(cwd, { recursive: true }));

test("doctor RUN finds a run sound, and once it is damaged says where and the way out, in 80 columns", async () => {
  const sound = await runCommand(["doctor", "run"], { cwd });
  expect(sound.stdout).toMatch(/^settings +ok +lora of tiny, 4 steps\n/);
  expect(sound.stdout).toMatch(/\nsteps +ok +finished: all 4 steps are done\n\nrun is sound\.\n$/);
  expect(sound.stderr).toBe("");
  expect(sound.code).toBe(0);

  const inRun = (name: string): string => path.join(cwd, "run", name);
  const environment = await readFile(inRun("env.json"), "utf8");
  await rm(inRun("report.html"));
  await writeFile(inRun("env.json"), environment.slice(1));
  const beside = await runCommand(["doctor", "run"], { cwd });
  expect(beside.stdout).toMatch(/\nreport\.html +repairable +is missing\n +-> resume writes it again\n/);
  expect(beside.stdout).toMatch(/\nenv\.json +damaged +run\/env\.json is not JSON/);
  expect(beside.code).toBe(3);
  await rm(inRun("env.json"));
  expect((await runCommand(["doctor", "run"], { cwd })).stdout).toMatch(/\nenv\.json +damaged +is missing\n/);
  await writeFile(inRun("env.json"), environment);
  expect((await runCommand(["resume", "run"], { cwd })).code).toBe(0);
  expect((await runCommand(["doctor", "run"], { cwd })).stdout).toContain("run is sound.");

  await appendFile(path.join(cwd, "run/metrics.jsonl"), "{");
  const torn = await runCommand(["doctor", "run"], { cwd });
  expect(torn.stdout).toMatch(/\nmetrics +repairable +the last line was cut short\n +-> resume removes it\n/);
  expect(torn.code).toBe(0);

  await appendFile(path.join(cwd, "run/checkpoint-000004/trainable.safetensors"), "x");
  const damaged = await runCommand(["doctor", "run"], { cwd });
  expect(damaged.stdout).toMatch(/\ncheckpoint-000004 +damaged +trainable\.safetensors differs from its/);
  expect(damaged.stdout).toContain("-> highrank resume run --checkpoint 2\n");
  expect(damaged.stdout).toMatch(/\nrun is damaged in one place; .*\n$/);
  expect(damaged.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  expect(damaged.code).toBe(3);

  const holder = { pid: process.pid, host: os.hostname(), since: "2026-01-02T03:04:05.000Z" };
  await writeFile(path.join(cwd, "run/lock"), JSON.stringify(holder));
  const alive = await runCommand(["doctor", "run"], { cwd });
  expect(alive.stdout).toMatch(/\nrun is being written: it is sound as far as that can be told now\.\n$/);
  expect(alive.stdout).not.toContain("damaged");
  expect(alive.code).toBe(0);
  await rm(path.join(cwd, "run/lock"));

  const { stdout, code } = await runCommand(["doctor", "run", "--json"], { cwd });
  const { state, step, maxSteps, findings } = JSON.parse(stdout);
  expect({ state, step, maxSteps, code }).toEqual({ state: "damaged", step: 2, maxSteps: 4, code: 3 });
  expect(findings).toContainEqual({
    area: "checkpoint-000004",
    state: "damaged",
    what: "trainable.safetensors differs from its checksum",
    wayOut: "highrank resume run --checkpoint 2",
  });
});

test("doctor on a folder that is no run, or on none, is an error", async () => {
  expect(await runCommand(["doctor", "."], { cwd })).toMatchObject({
    code: 3,
    stderr: expect.stringContaining("holds no run"),
  });
  expect(await runCommand(["doctor", "nowhere"], { cwd })).toMatchObject({
    code: 3,
    stderr: expect.stringContaining("cannot read nowhere"),
  });
});
