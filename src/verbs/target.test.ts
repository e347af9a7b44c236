import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTarget } from "./target.js";

const KINDS = { run: "config.resolved.json", adapter: "adapter_config.json", model: "config.json" } as const;

let root = "";
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-target-"));
  for (const [kind, file] of Object.entries(KINDS)) {
    await mkdir(path.join(root, kind));
    await writeFile(path.join(root, kind, file), "{}");
  }
});
afterAll(() => rm(root, { recursive: true }));

const base = "models/base";
const adapters = [{ adapter: "one", weight: 1 }];
const checkpoint = 20;

test("a target is what its folder holds, with what may go with it", async () => {
  const open = (kind: string, given: object) => openTarget(path.join(root, kind), { base: null, ...given });
  const at = (kind: string) => ({ kind, folder: path.join(root, kind) });
  expect(await open("run", {})).toMatchObject({ ...at("run"), checkpoint: null });
  expect(await open("run", { checkpoint })).toMatchObject({ ...at("run"), checkpoint });
  expect(await open("adapter", { base })).toMatchObject({ ...at("adapter"), base });
  expect(await open("model", { adapters })).toMatchObject({ ...at("model"), adapters });
});

test.each([
  ["run", { base, adapters }, ["base is for PEFT adapters", "adapters is for models; RUN is a run"]],
  ["adapter", { adapters, checkpoint }, ["adapters is for models; RUN is a PEFT adapter", "checkpoint is for runs"]],
  ["model", { base, checkpoint }, ["base is for PEFT adapters", "checkpoint is for runs"]],
] as const)("all that does not go with a target is refused at once: %s", async (kind, given, faults) => {
  const folder = path.join(root, kind);
  const message = await openTarget(folder, { base: null, ...given }).catch((error: Error) => error.message);
  const lines = String(message).replaceAll(folder, "RUN").split("\n");
  expect(lines.map((line, i) => line.slice(0, faults[i]?.length))).toEqual(faults);
});
