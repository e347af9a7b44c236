import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { writeSafetensors } from "../files/safetensors.js";
import { hashModelFolder } from "./base-hash.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-base-"));
});
afterAll(async () => rm(root, { recursive: true }));

const tensors = (name: string, value: number) =>
  new Map([[name, { dtype: "float32", shape: [1], data: new Float32Array([value]) } as const]]);

/** A folder with the tensors a and b in shards of these names. */
async function sharded(folder: string, [first, second]: readonly [string, string]): Promise<string> {
  const target = path.join(root, folder);
  await mkdir(target);
  await writeSafetensors(path.join(target, first), tensors("a", 1));
  await writeSafetensors(path.join(target, second), tensors("b", 2));
  const index = JSON.stringify({ weight_map: { b: second, a: first } });
  await writeFile(path.join(target, "model.safetensors.index.json"), index);
  return target;
}

test("the hash is that of `sha256sum *.safetensors | sha256sum`", async () => {
  const folder = await sharded("one", ["model-1.safetensors", "model-2.safetensors"]);
  const command = "LC_ALL=C sha256sum *.safetensors | sha256sum";
  const printed = execFileSync("sh", ["-c", command], { cwd: folder, encoding: "utf8" });
  expect(`${await hashModelFolder(folder)}  -\n`).toBe(printed);
});

test("it depends on the weights and their file names, but not on the folder's path or other files", async () => {
  const folder = await sharded("original", ["model-1.safetensors", "model-2.safetensors"]);
  const hash = await hashModelFolder(folder);
  const copy = path.join(root, "copy");
  await cp(folder, copy, { recursive: true });
  await writeFile(path.join(copy, "config.json"), "{}");
  await writeFile(path.join(copy, "stray.safetensors"), "");
  expect(await hashModelFolder(copy)).toBe(hash);
  await writeSafetensors(path.join(copy, "model-2.safetensors"), tensors("b", 3));
  expect(await hashModelFolder(copy)).not.toBe(hash);
  expect(await hashModelFolder(await sharded("renamed", ["model-1.safetensors", "model-3.safetensors"]))).not.toBe(
    hash,
  );
  await rename(path.join(copy, "model-1.safetensors"), path.join(copy, "model.safetensors"));
  expect(await hashModelFolder(copy)).not.toBe(hash);
});

test("a folder without weights is refused", async () => {
  await expect(hashModelFolder(path.join(root, "none"))).rejects.toThrow(CheckpointError);
});
