import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import type { ServerEnv } from "../../serving/server.js";
import { ApiError } from "./api-error.js";
import { readJson } from "./json-body.js";
import { chatRequest, completionRequest } from "./requests.js";

describe("a message is refused by the name of the part that is wrong", () => {
  const image = { type: "image_url", image_url: { url: "x" } };
  const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
  test.each([
    [[{ role: "user", content: [image] }], '[0].content[0]: a part of type "image_url" is not supported; leave it out'],
    [[{ role: "user", content: [{ type: "text" }] }], "[0].content[0]: must be a part of type text with a text, got"],
    [
      [
        { role: "user", content: "a" },
        { role: "assistant", content: null, tool_calls: [call] },
      ],
      "[1].content: must be a text or a list of parts, got null",
    ],
    [[{ role: "user" }], "[0].content: must be a text or a list of parts, got missing"],
    [
      [{ role: "wizard", content: "a" }],
      '[0].role: must be one of system, developer, user, assistant, tool, got "wizard"',
    ],
    [["hello"], '[0]: must be an object with a role and a content, got "hello"'],
    [[], ": must be a list of at least one message, got"],
  ])("%j", (messages, words) => {
    const reading = (): unknown => chatRequest({ messages });
    expect(reading).toThrow(ApiError);
    expect(reading).toThrow(`messages${words}`);
  });
});

test("every role is taken, a developer as the system, and texts in parts", () => {
  const content = [{ type: "text", text: "a" }];
  const messages = ["developer", "system", "user", "assistant", "tool"].map((role) => ({ role, content }));
  const { prompt } = chatRequest({ messages }).questions[0]!;
  const roles = ["system", "system", "user", "assistant", "tool"];
  expect(prompt).toEqual({ messages: roles.map((role) => ({ role, content })) });
});

test("max_tokens is the older name of max_completion_tokens, and must not say another number", () => {
  const messages = [{ role: "user", content: "a" }];
  const lengthOf = (asked: object): unknown => chatRequest({ messages, ...asked }).questions[0]!.maxNewTokens;
  expect([{ max_tokens: 3 }, { max_completion_tokens: 3 }, {}].map(lengthOf)).toEqual([3, 3, null]);
  expect(lengthOf({ max_tokens: 3, max_completion_tokens: 3 })).toBe(3);
  expect(() => lengthOf({ max_tokens: 3, max_completion_tokens: 4 })).toThrow(
    "max_tokens: must be left out, or max_completion_tokens (4), which is its newer name, got 3",
  );
});

test("the usage of a stream is asked for by true, and of a stream alone", () => {
  const asked = { prompt: "a", stream: true };
  const includesUsage = (stream_options: unknown, body: object = asked): boolean =>
    completionRequest({ ...body, stream_options }).includesUsage;
  const taken = [null, {}, { include_usage: null }, { include_usage: false }, { include_usage: true }];
  expect(taken.map((options) => includesUsage(options))).toEqual([false, false, false, false, true]);
  expect(() => includesUsage({ include_usage: "x" })).toThrow(
    'stream_options.include_usage: must be true or false, got "x"',
  );
  const alone = "stream_options: must be left out, or stream true, got";
  expect(() => includesUsage({ include_usage: true }, { prompt: "a" })).toThrow(alone);
  expect(() => includesUsage({ include_usage: false }, { prompt: "a", stream: false })).toThrow(alone);
});

describe("a body", () => {
  const app = new Hono<ServerEnv>();
  app.onError((error) => (error as ApiError).toResponse());
  app.post("/", async (c) => c.json(await readJson(c, 1000)));
  const answered = async (body: Uint8Array | string): Promise<[status: number, text: string]> => {
    const answer = await app.request("/", { method: "POST", body: body as string });
    return [answer.status, await answer.text()];
  };

  test.each([
    ["that is not UTF-8", Uint8Array.of(0x22, 0xff, 0xfe, 0x22), "the body is not UTF-8"],
    ["that ends within a character", Uint8Array.of(0x22, 0xc3), "the body is not UTF-8"],
    ["with half a surrogate pair", '{"prompt":"\\ud800"}', "half a surrogate pair"],
    ["with half a pair in a name", '{"\\uDC00":1}', "half a surrogate pair"],
    ["that is no JSON", "{", "the body is not JSON"],
  ])("%s is refused", async (_, body, words) => {
    expect(await answered(body)).toEqual([400, expect.stringContaining(words)]);
  });

  test("with whole pairs, and with a backslash before the letters of half a one, is read as it is", async () => {
    expect(await answered('["\\ud83d\\ude00", "\\\\ud800", "é"]')).toEqual([200, '["😀","\\\\ud800","é"]']);
  });
});
