import path from "node:path";
import { expect, test } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { ConfigError } from "../base/errors.js";
import { homeFolder } from "../platform/node-environment.js";
import { hubAccess } from "./hub-access.js";

const SECRET = "hf_verysecret";

test("without variables: the hub itself, and the cache in the home folder", async () => {
  await withFolder({}, async (folder) => {
    const access = await hubAccess({ HF_TOKEN_PATH: path.join(folder, "token") });
    expect(access).toEqual({
      endpoint: "https://huggingface.co",
      token: undefined,
      offline: false,
      cacheFolder: path.join(homeFolder(), ".cache/huggingface/hub"),
    });
  });
});

test("folders: HF_HUB_CACHE before HF_HOME before XDG_CACHE_HOME, ~ for the home folder", async () => {
  const cacheOf = async (env: Record<string, string>): Promise<string> => (await hubAccess(env)).cacheFolder;
  expect(await cacheOf({ XDG_CACHE_HOME: "/x" })).toBe(path.join("/x", "huggingface", "hub"));
  expect(await cacheOf({ XDG_CACHE_HOME: "/x", HF_HOME: "/h" })).toBe(path.join("/h", "hub"));
  expect(await cacheOf({ HF_HOME: "/h", HF_HUB_CACHE: "~/c" })).toBe(path.join(homeFolder(), "c"));
  expect(await cacheOf({ HUGGINGFACE_HUB_CACHE: "/old" })).toBe("/old");
});

test("the token: HF_TOKEN, or else the file that a login leaves, trimmed; none if switched off", async () => {
  await withFolder({ token: `${SECRET}\n` }, async (HF_HOME) => {
    const tokenOf = async (env: Record<string, string>): Promise<string | undefined> =>
      (await hubAccess({ HF_HOME, ...env })).token;
    expect(await tokenOf({})).toBe(SECRET);
    expect(await tokenOf({ HF_TOKEN: " hf_other " })).toBe("hf_other");
    expect(await tokenOf({ HF_TOKEN: "" })).toBe(SECRET);
    expect(await tokenOf({ HF_HUB_DISABLE_IMPLICIT_TOKEN: "1", HF_TOKEN: "hf_other" })).toBeUndefined();
    expect(await tokenOf({ HF_TOKEN_PATH: path.join(HF_HOME, "nowhere") })).toBeUndefined();
  });
});

test.each(["1", "true", "ON", "Yes"])("offline: %s", async (value) => {
  expect((await hubAccess({ HF_HUB_OFFLINE: value })).offline).toBe(true);
  expect((await hubAccess({ TRANSFORMERS_OFFLINE: value })).offline).toBe(true);
  expect((await hubAccess({ HF_HUB_OFFLINE: "0" })).offline).toBe(false);
});

test("an endpoint may have a path, and loses its last slash", async () => {
  const { endpoint } = await hubAccess({ HF_ENDPOINT: "https://mirror.example/hub/" });
  expect(endpoint).toBe("https://mirror.example/hub");
});

test("an invalid endpoint or token is refused without being shown", async () => {
  for (const HF_ENDPOINT of ["mirror", "ftp://mirror", `https://user:${SECRET}@mirror`, `https://mirror?x=${SECRET}`]) {
    await expect(hubAccess({ HF_ENDPOINT })).rejects.toThrow(/^HF_ENDPOINT: must /);
    await expect(hubAccess({ HF_ENDPOINT })).rejects.toThrow(ConfigError);
    await expect(hubAccess({ HF_ENDPOINT })).rejects.not.toThrow(SECRET);
  }
  await expect(hubAccess({ HF_TOKEN: `${SECRET}\nx: y` })).rejects.toThrow(/^HF_TOKEN: the token must be one word/);
  await expect(hubAccess({ HF_TOKEN: `${SECRET}\nx: y` })).rejects.not.toThrow(SECRET);
});
