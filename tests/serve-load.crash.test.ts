import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import type { APIError } from "openai";
import { describe, expect, test } from "vitest";
import { type Asking, useServedModels } from "./served-model.js";

const { at, serving, generated, answered } = useServedModels();

const BIN = fileURLToPath(new URL("../bin/highrank.js", import.meta.url));
const GREEDY = { temperature: 0 } as const;
/** An answer that takes a while. */
const LONG = { model: "model", prompt: "The cat sat", max_tokens: 1500, ...GREEDY } as const;

/** Questions that the server holds. */
async function openAt({ server: { url } }: Pick<Asking, "server">): Promise<number> {
  const { open } = (await (await fetch(`${url}/health`)).json()) as { readonly open: number };
  return open;
}

/** Waits until the server holds so many questions. */
async function untilOpen(asking: Pick<Asking, "server">, count: number): Promise<void> {
  await expect.poll(() => openAt(asking), { timeout: 30_000 }).toBe(count);
}

async function isAnswering({ client }: Asking): Promise<void> {
  const { choices } = await client.completions.create({ model: "model", prompt: "The cat", max_tokens: 8, ...GREEDY });
  expect(choices[0]!.text).toBe((await generated("The cat", 8)).text);
}

const statusOf = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => 200,
    (error: APIError) => error.status ?? error.code ?? error.name,
  );

test("eight clients get a thousand answers, each the text of generate, and nothing is left behind", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  const prompts = Array.from({ length: 25 }, (_, i) => `The ${i % 7}th cat sat on mat ${i}`);
  const expected = await Promise.all(prompts.map(async (prompt) => (await generated(prompt, 5)).text));
  const content = "The cat?";
  const chat = (await answered([{ role: "user", content }], 5)).text;
  const resources = new Set(process.getActiveResourcesInfo());
  const memory: number[] = [];
  await serving(async (asking) => {
    const { client } = asking;
    const askOne = async (i: number): Promise<void> => {
      if (i % 20 === 0) {
        const messages = [{ role: "user" as const, content }];
        const { choices } = await client.chat.completions.create({
          model: "model",
          messages,
          max_tokens: 5,
          ...GREEDY,
        });
        return expect(choices[0]!.message.content).toBe(chat);
      }
      const prompt = prompts[i % prompts.length]!;
      const asked = { model: "model", prompt, max_tokens: 5, ...GREEDY };
      let text = "";
      if (i % 2 === 0) text = (await client.completions.create(asked)).choices[0]!.text;
      else
        for await (const { choices } of await client.completions.create({ ...asked, stream: true }))
          text += choices[0]!.text;
      expect(text).toBe(expected[i % prompts.length]);
    };
    let next = 0;
    const clients = Array.from({ length: 8 }, async () => {
      for (let i = next++; i < 1000; i = next++) {
        await askOne(i);
        if (i % 250 === 249) memory.push(process.memoryUsage().rss / 2 ** 20);
      }
    });
    await Promise.all(clients);
    const listed = await client.completions.create({ model: "model", prompt: prompts, max_tokens: 5, ...GREEDY });
    expect(listed.choices.map(({ text }) => text)).toEqual(expected);
    expect(await openAt(asking)).toBe(0);
  });
  process.off("warning", onWarning);
  expect(warnings).toEqual([]);
  expect(memory.at(-1)! - memory[1]!).toBeLessThan(80);
  await expect.poll(() => process.getActiveResourcesInfo().filter((name) => !resources.has(name))).toEqual([]);
});

test("clients that go in a stream, answer, turn or question leave nothing, and are no fault", async () => {
  const notices: string[] = [];
  await serving(
    async (asking) => {
      const { client, server } = asking;
      const going = Array.from({ length: 12 }, async (_, i) => {
        const left = new AbortController();
        const asked = client.completions.create({ ...LONG, stream: i % 2 === 0 } as typeof LONG, {
          signal: left.signal,
        });
        if (i % 2 === 0) {
          for await (const _ of (await asked) as unknown as AsyncIterable<unknown>) break;
        } else {
          await expect.poll(() => openAt(asking)).toBeGreaterThan(0);
          left.abort();
          await asked.catch(() => {});
        }
      });
      await Promise.all(going);
      const { hostname, port } = new URL(server.url);
      for (const part of [
        "POST /v1/comp",
        `POST /v1/completions HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 90\r\n\r\n{"pro`,
      ]) {
        const socket = connect(Number(port), hostname);
        await once(socket, "connect");
        socket.write(part);
        await new Promise((resolve) => setTimeout(resolve, 30));
        socket.destroy();
      }
      await untilOpen(asking, 0);
      await isAnswering(asking);
    },
    { parallel: 3, onNotice: (text) => void notices.push(text) },
  );
  expect(notices).toEqual([]);
});

test("a full queue is told with status 429 and when to ask again; those in it are answered in their order", () =>
  serving(
    async (asking) => {
      const { client, server } = asking;
      const ended: number[] = [];
      const ask = (i: number, max_tokens: number) =>
        client.completions.create({ ...LONG, max_tokens }).then(() => void ended.push(i));
      const asked = [ask(0, LONG.max_tokens)];
      await untilOpen(asking, 1);
      asked.push(ask(1, 20));
      await untilOpen(asking, 2);
      asked.push(ask(2, 1));
      await untilOpen(asking, 3);
      const refused = await fetch(`${server.url}/v1/completions`, { method: "POST", body: JSON.stringify(LONG) });
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
      expect(await refused.json()).toMatchObject({ error: { type: "rate_limit_error", code: "queue_full" } });
      expect(await statusOf(client.completions.create({ ...LONG, stream: true }))).toBe(429);
      await Promise.all(asked);
      expect(ended).toEqual([0, 1, 2]);
      await isAnswering(asking);
    },
    { parallel: 1, maxQueue: 2 },
  ));

test("a chat whose template does not come to an end takes no place of a completion", async () => {
  const chatTemplate = at("endless.jinja");
  await writeFile(chatTemplate, "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
  const messages = [{ role: "user" as const, content: "a" }];
  const left = new AbortController();
  await serving(
    async (asking) => {
      const chat = statusOf(
        asking.client.chat.completions.create({ model: "model", messages }, { signal: left.signal }),
      );
      await untilOpen(asking, 1);
      await isAnswering(asking);
      expect(await openAt(asking)).toBe(1);
      left.abort();
      expect(await chat).not.toBe(200);
    },
    { parallel: 1, maxQueue: 0, chatTemplate },
  );
});

test("when time is up an answer ends as it is, and one that has not begun is refused", () =>
  serving(
    async (asking) => {
      const { client } = asking;
      const tokens = Array.from({ length: 4 }, async () => {
        const { choices, usage } = await client.completions.create({ ...LONG, prompt: ["a", "b", "c", "d"] });
        expect(choices.map(({ finish_reason }) => finish_reason)).toContain("length");
        return usage!.completion_tokens;
      });
      const ended = await Promise.allSettled(tokens);
      expect(ended.map(({ status }) => status)).toContain("rejected");
      for (const each of ended) if (each.status === "rejected") expect((each.reason as APIError).status).toBe(503);
      await untilOpen(asking, 0);
    },
    { parallel: 2, timeLimit: 0.3 },
  ));

test("it tells how it is while it computes, and a prompt that joins others does not wait for their end", () =>
  serving(async (asking) => {
    const { client } = asking;
    const ended: string[] = [];
    const long = client.completions.create(LONG).then(() => void ended.push("long"));
    await untilOpen(asking, 1);
    await client.completions.create({ ...LONG, max_tokens: 8 }).then(() => void ended.push("short"));
    expect(await openAt(asking)).toBe(1);
    await long;
    expect(ended).toEqual(["short", "long"]);
  }));

test("closing ends what is open with status 503, a stream with an error", async () => {
  const asking = await new Promise<Asking & { done: Promise<void> }>((resolve) => {
    const done = serving(async (open) => {
      await new Promise<void>((end) => {
        void open.server.ended.then(end);
        resolve({ ...open, done: Promise.resolve() });
      });
    });
    void done;
  });
  const whole = statusOf(asking.client.completions.create(LONG));
  const stream = await asking.client.completions.create({ ...LONG, stream: true });
  const pieces = (async () => {
    for await (const _ of stream);
  })();
  const broken = statusOf(pieces);
  await asking.server.close();
  expect(await whole).toBe(503);
  expect(await broken).toBe("closing");
  await expect(fetch(asking.server.url)).rejects.toThrow();
});

describe("highrank serve", () => {
  async function started(...args: string[]): Promise<{ child: ChildProcess; url: string; stderr: () => string }> {
    const env = { PATH: process.env.PATH, HIGHRANK_API_KEY: "secret-key" };
    const child = spawn(process.execPath, [BIN, "serve", at("model"), "--port", "0", "--json", ...args], { env });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    return { child, url: JSON.parse(line).url, stderr: () => stderr };
  }

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends at %s with exit code %i, and its streams with it", async (signal, code) => {
    const { child, url, stderr } = await started();
    const headers = { Authorization: "Bearer secret-key" };
    const body = JSON.stringify({ ...LONG, stream: true });
    const answer = await fetch(`${url}/v1/completions`, { method: "POST", headers, body });
    expect(answer.status).toBe(200);
    child.kill(signal);
    expect(await answer.text()).toMatch(/"code":"closing"\}\}\n\n$/);
    expect(await once(child, "close")).toEqual([code, null]);
    expect(stderr()).toBe("");
  });

  test("refuses a port that is taken, adapters that are none, and empty keys", async () => {
    const { child, url } = await started("--adapter", `cats=${at("cats")}`);
    const { port } = new URL(url);
    const failing = async (...args: string[]): Promise<unknown> => {
      const other = spawn(process.execPath, [BIN, "serve", at("model"), ...args], { env: { PATH: process.env.PATH } });
      let said = "";
      other.stderr.setEncoding("utf8").on("data", (text) => {
        said += text;
      });
      const [code] = await once(other, "close");
      return `${code} ${said}`;
    };
    expect(await failing("--port", port)).toMatch(
      /^2 error: --port: port \d+ of 127\.0\.0\.1 is taken by another program; .* or 0 for any free one\n$/,
    );
    expect(await failing("--adapter", "cats")).toMatch(/^2 error: --adapter: must be a name and a folder/);
    expect(await failing("--adapter", `model=${at("cats")}`)).toMatch(
      /^2 error: --adapter: model is the name of the model/,
    );
    expect(await failing("--api-key", "")).toMatch(/^2 error: --api-key: must not be empty/);
    child.kill("SIGTERM");
    await once(child, "close");
  });
});
