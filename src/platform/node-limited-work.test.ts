import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import type { ChatQuestion } from "../chats/chat-processes.js";
import type { WorkLimits } from "./limited-work.js";
import { openLimited } from "./node-limited-work.js";

/** The answer of a module to one question. */
async function ask(module: URL, question: unknown, limits: WorkLimits): Promise<unknown> {
  const process = openLimited(module, limits);
  try {
    return await process.ask(question);
  } finally {
    process.stop();
  }
}

/** Renders a conversation with the template under these limits. */
function render(source: string, limits: WorkLimits): Promise<unknown> {
  const conversations = [JSON.stringify({ messages: [{ role: "user", content: "a" }] })];
  const question: ChatQuestion = { source, variables: {}, conversations, task: "plain", date: null };
  return ask(new URL("../chats/chat-worker.ts", import.meta.url), question, limits);
}

const FEW = { seconds: 20, heapMegabytes: 64 };

test("work that ends is done", async () => {
  expect(await render("{{ messages[0].content }}", FEW)).toEqual([expect.objectContaining({ text: "a" })]);
});

test("work without an end is stopped", async () => {
  const loops = "{% for i in range(10000) %}".repeat(4) + "{% endfor %}".repeat(4);
  const rendering = render(loops, { ...FEW, seconds: 1 });
  await expect(rendering).rejects.toThrow(DataError);
  await expect(rendering).rejects.toThrow("it did not finish within 1 s");
});

test.runIf(process.platform === "linux")("array buffers count as well, which the heap does not hold", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-limited-"));
  try {
    const platform = new URL("../../dist/platform/node.js", import.meta.url).href;
    const module = path.join(folder, "work.mjs");
    await writeFile(
      module,
      `import { inWorker } from ${JSON.stringify(platform)};
       inWorker((port) => port.onMessage(() => {
         const kept = [];
         for (;;) kept.push(new Uint8Array(2 ** 20).fill(1));
       }));`,
    );
    const work = ask(pathToFileURL(module), null, { ...FEW, heapMegabytes: 16 });
    await expect(work).rejects.toThrow("it took more than 544 MiB of memory");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each([
  ["a text without end", "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"],
  [
    "a list that doubles",
    `{% set ns = namespace(x=["a"]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`,
  ],
  [
    "texts that are kept",
    "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% for j in range(1000) %}" +
      '{% set ns.x = [ns.x, "a" ~ i] %}{% endfor %}{% endfor %}{{ ns.x|length }}',
  ],
])("%s is stopped if it takes too much memory", async (_, source) => {
  await expect(render(source, FEW)).rejects.toThrow("it took more than 64 MiB of memory");
});
