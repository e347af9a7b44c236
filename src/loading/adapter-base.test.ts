import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { writeSmallModel } from "../../tests/small-model.js";
import { hashModelFolder } from "../formats/base-hash.js";
import { baseOfAdapter } from "./adapter-base.js";

let root = "";
const roots: string[] = [];
const at = (...names: string[]): string => path.join(root, ...names);
let notices: string[] = [];
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-adapter-base-"));
  roots.push(root);
  notices = [];
  await writeSmallModel(at("old/run/base"), { numLayers: 1 });
  await mkdir(at("old/peft"));
});
afterAll(async () => Promise.all(roots.map((one) => rm(one, { recursive: true }))));

function find(folder: string, baseModel: string, sha256: string | null = null, revision: string | null = null) {
  const base = { sha256, quantizer: null };
  return baseOfAdapter(folder, { baseModel, baseRevision: revision, base }, (text) => notices.push(text));
}

test("a base that is where the adapter says is taken without a word", async () => {
  expect(await find(at("old/peft"), at("old/run/base"))).toBe(at("old/run/base"));
  expect(notices).toEqual([]);
});

test("a project that was moved has its base where it was beside the adapter", async () => {
  await rename(at("old"), at("new"));
  expect(await find(at("new/peft"), at("old/run/base"))).toBe(at("new/run/base"));
  expect(notices).toEqual([expect.stringMatching(/old\/run\/base as its base, which is not there; .*new\/run\/base/)]);
});

test("a relative path is one from the folders around the adapter, wherever it is read", async () => {
  expect(await find(at("old/peft"), "run/base")).toBe(at("old/run/base"));
  expect(await find(at("old/peft"), "../run/base")).toBe(at("old/run/base"));
});

test("of several models in the place of the base, that with the weights of its training is taken", async () => {
  const trainedOn = await hashModelFolder(at("old/run/base"));
  await cp(at("old"), at("new"), { recursive: true });
  await rm(at("old/run/base"), { recursive: true });
  await writeSmallModel(at("old/run/base"), { numLayers: 1, seed: 1 });
  expect(await find(at("new/peft"), at("old/run/base"), trainedOn)).toBe(at("new/run/base"));
  expect(notices).toEqual([expect.stringContaining("which holds other weights; ")]);
  expect(await find(at("new/peft"), at("old/run/base"), "0".repeat(64))).toBe(at("old/run/base"));
});

test("a name of the hub is no folder that ends like it; what is nowhere keeps its name", async () => {
  expect(await find(at("old/peft"), "org/base")).toBe("org/base");
  expect(await find(at("old/peft"), "org/base", null, "abc")).toBe("org/base@abc");
  expect(await find(at("old/peft"), "/elsewhere/else")).toBe("/elsewhere/else");
  expect(notices).toEqual([]);
});
