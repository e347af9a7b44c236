import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { absolutePath, joinPath, makeFolder, readText, writeFileAtomic, writeFolderAtomic } from "./node.js";

// outer/link leads to outer/real/deep, so that the file system takes outer/link/.. for outer/real.
let outer: string;
beforeAll(async () => {
  outer = await realpath(await mkdtemp(path.join(tmpdir(), "highrank-paths-")));
  await mkdir(path.join(outer, "real/deep"), { recursive: true });
  await symlink("real/deep", path.join(outer, "link"));
});
afterAll(() => rm(outer, { recursive: true }));

const behind = (name: string): string => `${outer}/link/../${name}`;

test.skipIf(process.platform === "win32")("a .. behind a link leads to where the target lies", () => {
  expect(absolutePath(behind("new"))).toBe(path.join(outer, "real/new"));
  expect(absolutePath(behind("../a/./b"))).toBe(path.join(outer, "a/b"));
  expect(absolutePath(behind("nothing/../a"))).toBe(path.join(outer, "real/a"));
  expect(absolutePath("nothing/../a")).toBe(path.resolve("a"));
  expect(joinPath(behind("x"), "a", "../b")).toBe(`${behind("x")}/b`);
  expect(joinPath("a", "../b", "./c")).toBe("b/c");
});

test.skipIf(process.platform === "win32")("what is written by such a path is where it is read", async () => {
  await writeFile(path.join(outer, "own"), "mine");
  await writeFileAtomic(behind("own"), "new");
  await writeFolderAtomic(behind("folder"), (folder) => writeFile(path.join(folder, "a"), "b"));
  await makeFolder(behind("more/folders"));
  await writeFileAtomic(joinPath(behind("more/folders"), "c"), "d");
  expect(await readText(behind("own"))).toBe("new");
  expect(await readFile(path.join(outer, "own"), "utf8")).toBe("mine");
  expect(await readFile(path.join(outer, "real/folder/a"), "utf8")).toBe("b");
  expect(await readFile(path.join(outer, "real/more/folders/c"), "utf8")).toBe("d");
});
