// A published model in a page: put into its private files, opened, asked and trained there as in Node.js.
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadModel } from "../src/verbs/model.js";
import { train } from "../src/verbs/train.js";
import { addressOf, buildExamplePage } from "./example-page.js";
import { canOpenPages, host, ISOLATING, launchChromium } from "./in-chromium.js";
import { peersAvailable, realModel } from "./peers/peer.js";

const QUESTION = "What is the capital of France?";
const ANSWER = { maxNewTokens: 8, temperature: 0 };
const SETTINGS = {
  ...({ method: "lora", rank: 8, sequenceLength: 64, batchSize: 1, maxSteps: 2, evalEvery: null } as const),
  ...({ evalMilestones: false, sampleTokens: 0, evalTokens: 64, device: "cpu" } as const),
};

const CHATS = Array.from({ length: 8 }, (_, i) => ({
  messages: [
    { role: "user", content: `What is ${i} and ${i + 1}, and which of the two is the greater number?` },
    { role: "assistant", content: `Together they are ${2 * i + 1}, and ${i + 1} is greater than ${i} by one.` },
  ],
}));

const SCRIPT = `
  import { loadModel, train } from "highrank";
  const root = await navigator.storage.getDirectory();
  const put = async (folder, name, url) => {
    const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
    await (await fetch(url)).body.pipeTo(file);
  };
  window.putFiles = async (names) => {
    const folder = await root.getDirectoryHandle("model", { create: true });
    for (const name of names) await put(folder, name, "/model/" + name);
    await put(root, "chats.jsonl", "/chats.jsonl");
  };
  window.answer = async (question, options) => {
    const model = await loadModel("model", { device: "cpu" });
    const text = await model.chat(question, options);
    await model.dispose();
    return text;
  };
  window.step = async (settings) => {
    const losses = [];
    await train(settings, { untilStep: 1, onStep: ({ loss }) => losses.push(loss) });
    return losses;
  };
`;

describe.runIf(canOpenPages() && peersAvailable())("SmolLM2-135M in a page", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-browser-model-"));
  let [browser, server]: [Browser?, Server?] = [];
  let page: Page;
  let model = "";

  beforeAll(async () => {
    model = await realModel("smollm2-135m");
    const { site } = await buildExamplePage(path.join(folder, "app"), SCRIPT);
    symlinkSync(model, path.join(site, "model"));
    writeFileSync(path.join(site, "chats.jsonl"), CHATS.map((chat) => JSON.stringify(chat)).join("\n"));
    [server, browser] = [await host(site, ISOLATING), await launchChromium()];
    page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(900_000);
    await page.goto(addressOf(server));
    await page.waitForFunction("window.step");
    await page.evaluate(`putFiles(${JSON.stringify(readdirSync(model))})`);
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true });
  });

  /** The most memory that the page's process has taken, in bytes. */
  async function peakBytes(): Promise<number> {
    const session = await browser!.newBrowserCDPSession();
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    await session.detach();
    const peaks = processInfo
      .filter(({ type }) => type === "renderer")
      .map(({ id }) => Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1]) * 1024);
    return Math.max(...peaks);
  }

  test("it answers as in Node.js", async () => {
    const inNode = await loadModel(model);
    const expected = await inNode.chat(QUESTION, ANSWER);
    await inNode.dispose();
    const said = await page.evaluate(`answer(${JSON.stringify(QUESTION)}, ${JSON.stringify(ANSWER)})`);
    expect(said).toBe(expected);
    expect(said).toContain("Paris");
  });

  test("a step of LoRA has the loss of Node.js, within the memory of WebAssembly", async () => {
    const data = path.join(folder, "app/dist/chats.jsonl");
    const losses: number[] = [];
    const onStep = ({ loss }: { readonly loss: number }): void => void losses.push(loss);
    await train({ ...SETTINGS, model, data, out: path.join(folder, "run") }, { untilStep: 1, onStep });
    const settings = { ...SETTINGS, model: "model", data: "chats.jsonl", out: "run" };
    const [loss] = await page.evaluate<number[]>(`step(${JSON.stringify(settings)})`);
    expect(Math.abs(loss! - losses[0]!)).toBeLessThan(1e-4);
    expect(await peakBytes()).toBeLessThan(3 * 2 ** 30);
  });
});
