import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ggufOriginOf } from "./gguf-origin.js";
import type { Target } from "./target.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-origin-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["acme/Small-135m", "https://huggingface.co/acme/Small-135m"],
  ["src/verbs", undefined], // a folder that is there, seen from where tests run
  ["./acme/Small-135m", undefined],
])("an adapter on %s has a page of the hub only if that is no folder", async (base, page) => {
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify({ base_model_name_or_path: base }));
  const target = { kind: "adapter", folder, base: null, events: {} } as unknown as Target;
  const found = (await ggufOriginOf(target)).get("general.base_model.0.repo_url");
  expect(found?.type === "string" ? found.value : undefined).toBe(page);
});
