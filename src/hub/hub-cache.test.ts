import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { CachedRepository } from "./hub-cache.js";

test("a folder in the place of a revision's commit is named", async () => {
  const cache = await mkdtemp(path.join(tmpdir(), "highrank-cache-"));
  try {
    const cached = new CachedRepository(cache, { name: "org/name", revision: "main" }, "model");
    expect(await cached.knownCommit()).toBeUndefined();
    await mkdir(path.join(cached.folder, "refs", "main"), { recursive: true });
    for (const call of [cached.knownCommit(), cached.rememberCommit("0".repeat(40))]) {
      await expect(call).rejects.toThrow(DataError);
      await expect(call).rejects.toThrow(
        /main is a folder where the cache keeps the commit of main in a file; remove it$/,
      );
    }
  } finally {
    await rm(cache, { recursive: true });
  }
});
