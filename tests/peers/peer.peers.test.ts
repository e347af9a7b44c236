import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { ask, describePeers, realModel } from "./peer.js";

describePeers("the Python process of this suite", () => {
  test("answers in order, with the libraries of the list", async () => {
    const list = readFileSync(new URL("requirements.txt", import.meta.url), "utf8");
    const wanted = list.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    const names = wanted.map((line) => line.split("==")[0]!);
    const versions = await Promise.all(
      names.map((name) => ask<string>("importlib.metadata", "version", { distribution_name: name })),
    );
    expect(names.map((name, i) => `${name}==${versions[i]}`)).toEqual(wanted);
  });

  test("an error of Python comes with its traceback", async () => {
    await expect(ask("json", "loads", { s: "{" })).rejects.toThrow(/JSONDecodeError/);
  });

  test("real models lie in folders as transformers writes them", async () => {
    const families = { "smollm2-135m": "llama", "gemma3-270m": "gemma3_text" } as const;
    for (const [name, family] of Object.entries(families)) {
      const folder = await realModel(name as keyof typeof families);
      expect(JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8")).model_type).toBe(family);
    }
  });
});
