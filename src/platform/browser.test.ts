import { createHash } from "node:crypto";
import path from "node:path/posix";
import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import * as browser from "./browser.js";
import { baseName, extension, folderOf, isWithin, joinPath } from "./browser-paths.js";
import type * as node from "./node.js";

/** What Node.js's platform offers, a browser's does, with the same meaning for the compiler. */
const same: Omit<typeof node, "AppendedFile" | "Worker" | "startWorker" | "startProcess" | "openLimited"> = browser;

test("the browser's platform has the names of Node.js's, and importing it starts nothing", async () => {
  const names = Object.keys(await import("./node.js")).sort();
  expect(Object.keys(same).sort()).toEqual(names);
});

test("SHA-256 is that of Node.js, for lengths around a block and pieces of any size", () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 31) % 251);
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 128, 1000]) {
    const part = bytes.subarray(0, length);
    const expected = createHash("sha256").update(part).digest("hex");
    expect(browser.sha256(part)).toBe(expected);
    for (const size of [1, 7, 64, 100]) {
      const pieces = Array.from({ length: Math.ceil(length / size) }, (_, i) =>
        part.subarray(i * size, (i + 1) * size),
      );
      expect(browser.sha256(pieces)).toBe(expected);
    }
  }
});

test("paths are those of Node.js", () => {
  for (const of of ["a/b.txt", "/a", "a", "a/", "/", "a/b/../c.TXT", "./a", "../a", "/../a", ".hidden", "a.b/c", ""]) {
    expect([of, joinPath(of)]).toEqual([of, path.normalize(of).replace(/(?<=.)\/$/, "")]);
    expect([of, baseName(of)]).toEqual([of, path.basename(of)]);
    expect([of, folderOf(of)]).toEqual([of, path.dirname(of)]);
    expect([of, extension(of)]).toEqual([of, path.extname(of).toLowerCase()]);
  }
  expect(joinPath("a", "../..", "b")).toBe("../b");
  expect([isWithin("/a", "/a/b"), isWithin("/a", "/ab"), isWithin("/", "/a")]).toEqual([true, false, true]);
});

test("what a browser cannot do is refused by name", async () => {
  await expect(browser.listenHttp(() => new Response(), "127.0.0.1", 0)).rejects.toThrow(/^serve and watch: /);
  await expect(browser.loadMpi([])).rejects.toThrow(/^distributed: there is no MPI in a browser/);
  expect(() => browser.homeFolder()).toThrow(ConfigError);
  expect(() => browser.homeFolder()).toThrow(/^names of the hub: there is no cache/);
});
