import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adapterFor } from "../../tests/bad-inputs/faulty-models.js";
import { writeSmallModel } from "../../tests/small-model.js";
import { quantizeModel } from "../verbs/quantize.js";
import { identify } from "./base-identity.js";
import { folderSource } from "./folder-source.js";
import { openAdapter } from "./open-adapter.js";

let root = "";
const at = (name: string): string => path.join(root, name);
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-base-identity-"));
  await writeSmallModel(at("float"), { numLayers: 1 });
  await writeSmallModel(at("half"), { numLayers: 1, fileType: "BF16" });
  await writeSmallModel(at("other"), { numLayers: 1, seed: 1 });
  for (const format of ["nf4", "int8"] as const) {
    await quantizeModel(at("float"), { out: at(format), quantizer: { format, blockSize: 64, doubleQuant: false } });
  }
});
afterAll(() => rm(root, { recursive: true }));

async function trainedOnFolder(base: string, quantizer: string | null): Promise<void> {
  await rm(at("adapter"), { recursive: true, force: true });
  await adapterFor(root, base, quantizer);
}

test.each([
  ["nf4", "nf4 in blocks of 64", "float", "held in nf4 in blocks of 64, and .*float holds float32"],
  ["nf4", "nf4 in blocks of 64", "int8", "held in nf4 in blocks of 64, and .*int8 holds int8 by row"],
  ["float", null, "half", "held in float32, and .*half holds bfloat16"],
])(
  "an adapter that was trained on %s (%s) is taken beside %s, with a notice",
  async (trainedOn, quantizer, base, words) => {
    await trainedOnFolder(trainedOn, quantizer);
    const notices: string[] = [];
    await openAdapter(at("adapter"), at(base), { onNotice: (text) => void notices.push(text) });
    expect(notices).toEqual([expect.stringMatching(words)]);
    await openAdapter(at("adapter"), at(trainedOn), { onNotice: (text) => void notices.push(text) });
    expect(notices).toHaveLength(1);
  },
);

test("other weights in the same storage are refused", async () => {
  await trainedOnFolder("float", null);
  await expect(openAdapter(at("adapter"), at("other"))).rejects.toThrow("name the model that it was trained on");
});

test("the storage of a base is recorded where it is not plain float32", async () => {
  const quantizer = { format: "nf4", blockSize: 64, doubleQuant: false } as const;
  const storages = await Promise.all(
    (["float", "half", "int8"] as const).map(
      async (name) => (await identify(at(name), await folderSource(at(name)), null)).storage,
    ),
  );
  expect(storages).toEqual([undefined, "bfloat16", "int8 by row"]);
  expect((await identify(at("float"), await folderSource(at("float")), quantizer)).storage).toBe("float32");
});
