import { APIError } from "openai";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { useServedModels } from "./served-model.js";

const { at, serving, generated, answered } = useServedModels();

const GREEDY = { temperature: 0, top_p: 1 } as const;
const PROMPTS = ["The cat", "A mat", "The 3th cat sat on mat number 7.", "x"];
const CAT = [{ role: "user", content: "The cat?" }] as const;

/** What the client is told instead of an answer. */
async function refusalOf(asked: Promise<unknown>): Promise<unknown> {
  const error = await asked.then(
    () => "answered",
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(APIError);
  const { status, code, param, message } = error as APIError;
  return { status, code, param, message };
}

/** Asks without a client that checks. */
async function post(url: string, body: string, headers: Record<string, string> = {}): Promise<[number, unknown]> {
  const answer = await fetch(url, {
    method: "POST",
    body,
    headers: { "Content-Type": "application/json", ...headers },
  });
  const { error } = (await answer.json()) as { readonly error: { readonly code: unknown } };
  return [answer.status, error.code];
}

describe("the client of OpenAI gets", () => {
  test("the models", () =>
    serving(async ({ client }) => {
      expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["model"]);
      expect(await client.models.retrieve("model")).toMatchObject({ id: "model", object: "model" });
    }));

  test("the text of generate, and its counts", () =>
    serving(async ({ client }) => {
      for (const prompt of PROMPTS) {
        const expected = await generated(prompt, 12);
        const got = await client.completions.create({ model: "model", prompt, max_tokens: 12, ...GREEDY });
        expect(got.choices).toEqual([{ index: 0, text: expected.text, logprobs: null, finish_reason: "length" }]);
        const { tokens, promptTokens } = expected;
        const usage = { prompt_tokens: promptTokens, completion_tokens: tokens, total_tokens: tokens + promptTokens };
        expect(got.usage).toEqual(usage);
      }
      const chat = await answered(CAT, 12);
      const got = await client.chat.completions.create({
        model: "model",
        messages: [...CAT],
        max_tokens: 12,
        ...GREEDY,
      });
      expect(got.choices[0]).toMatchObject({
        message: { role: "assistant", content: chat.text },
        finish_reason: "length",
      });
      expect(got.usage).toMatchObject({ prompt_tokens: chat.promptTokens, completion_tokens: 12 });
    }));

  test("the answer of a conversation as it goes on, as each would be alone", () =>
    serving(async ({ client }) => {
      const messages: { role: "user" | "assistant"; content: string }[] = [];
      for (const content of ["The cat?", "And the mat?", "Which number?"]) {
        messages.push({ role: "user", content });
        const got = await client.chat.completions.create({ model: "model", messages, max_tokens: 8, ...GREEDY });
        const text = got.choices[0]!.message.content!;
        expect(text).toBe((await answered(messages, 8)).text);
        messages.push({ role: "assistant", content: text });
      }
    }));

  test("the same text from the same seed, and others from others", () =>
    serving(async ({ client }) => {
      const ask = async (seed?: number) => {
        const asked = { model: "model", prompt: "The cat", max_tokens: 20, ...(seed !== undefined && { seed }) };
        return (await client.completions.create(asked)).choices[0]!.text;
      };
      const texts = [await ask(1), await ask(1), await ask(2), await ask(), await ask()];
      expect(texts[0]).toBe(texts[1]);
      expect(new Set(texts).size).toBe(4);
    }));

  test("a stream of pieces that are the text, with the usage where it is asked for", () =>
    serving(async ({ client }) => {
      const expected = (await answered(CAT, 12)).text;
      const asked = { model: "model", messages: [...CAT], max_tokens: 12, ...GREEDY, stream: true as const };
      const chunks = [];
      for await (const chunk of await client.chat.completions.create(asked)) chunks.push(chunk);
      expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(expected);
      expect(chunks.length).toBeGreaterThan(4);
      expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content: "" });
      expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe("length");
      const withUsage = { ...asked, stream_options: { include_usage: true } };
      const last = [];
      for await (const chunk of await client.chat.completions.create(withUsage)) last.push(chunk);
      expect(last.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });
      const texts = [];
      const completion = { model: "model", prompt: "The cat", max_tokens: 12, ...GREEDY, stream: true as const };
      for await (const { choices } of await client.completions.create(completion)) texts.push(choices[0]!.text);
      expect(texts.join("")).toBe((await generated("The cat", 12)).text);
    }));

  test("a text that ends before its stop text", () =>
    serving(async ({ client }) => {
      const { text } = await generated("The cat", 20);
      const stop = text.slice(4, 6);
      const asked = { model: "model", prompt: "The cat", max_tokens: 20, stop: [stop, "none such"], ...GREEDY };
      const { choices } = await client.completions.create({ ...asked, logprobs: 1 });
      expect(choices[0]).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: "stop" });
      const { tokens, text_offset } = choices[0]!.logprobs!;
      expect(tokens!.length).toBe(text_offset!.length);
      expect(text_offset!.every((offset) => offset < choices[0]!.text.length)).toBe(true);
    }));

  test("log probabilities that add up, the likeliest first", () =>
    serving(async ({ client }) => {
      const scored = { logprobs: true, top_logprobs: 20, max_tokens: 6, ...GREEDY };
      const { choices } = await client.chat.completions.create({ model: "model", messages: [...CAT], ...scored });
      const content = choices[0]!.logprobs!.content!;
      expect(content.length).toBe(6);
      for (const { logprob, token, top_logprobs } of content) {
        expect(top_logprobs.length).toBe(20);
        expect(top_logprobs[0]).toMatchObject({ logprob, token });
        const likelihoods = top_logprobs.map((each) => Math.exp(each.logprob));
        expect(likelihoods).toEqual([...likelihoods].sort((a, b) => b - a));
        expect(likelihoods.reduce((sum, each) => sum + each, 0)).toBeLessThan(1);
      }
      expect(content.map(({ token }) => token).join("")).toBe(choices[0]!.message.content);
    }));

  test("a choice for each of several prompts, texts or tokens", () =>
    serving(async ({ client }) => {
      const prompt = ["The cat", "A mat", "x"];
      const { choices } = await client.completions.create({ model: "model", prompt, max_tokens: 6, ...GREEDY });
      expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
      for (const [i, text] of prompt.entries()) {
        expect(choices[i]!.text).toBe((await generated(text, 6)).text);
      }
      const ids = (await Tokenizer.fromFolder(at("model"))).encodePrompt("The cat", null);
      const tokens = await client.completions.create({ model: "model", prompt: ids, max_tokens: 6, ...GREEDY });
      expect(tokens.choices[0]!.text).toBe(choices[0]!.text);
    }));

  test("several adapters by name on one base, at once", () =>
    serving(
      async ({ client }) => {
        expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["model", "cats", "dogs"]);
        const asked = { prompt: "The cat", max_tokens: 12, ...GREEDY };
        const models = ["model", "cats", "dogs"];
        const texts = await Promise.all(
          models.map(async (model) => (await client.completions.create({ model, ...asked })).choices[0]!.text),
        );
        const alone = [await generated("The cat", 12)];
        for (const name of ["cats", "dogs"]) alone.push(await generated("The cat", 12, name));
        expect(texts).toEqual(alone.map(({ text }) => text));
        expect(new Set(texts).size).toBe(3);
      },
      { adapters: { cats: at("cats"), dogs: at("dogs") } },
    ));
});

describe("it refuses", () => {
  test("what it does not do, by name", () =>
    serving(async ({ client }) => {
      const messages = [...CAT];
      const unsupported: Record<string, unknown>[] = [
        { n: 2 },
        { tools: [{ type: "function", function: { name: "f" } }] },
        { response_format: { type: "json_object" } },
        { logit_bias: { "1": 5 } },
        { frequency_penalty: 0.5 },
        { presence_penalty: 1 },
        { echo: true },
      ];
      for (const parameter of unsupported) {
        const [param] = Object.keys(parameter);
        const asked =
          param === "echo"
            ? client.completions.create({ model: "model", prompt: "x", ...parameter })
            : client.chat.completions.create({ model: "model", messages, ...parameter });
        expect(await refusalOf(asked)).toMatchObject({ status: 400, code: "unsupported_parameter", param });
      }
      const wrong: Record<string, unknown>[] = [
        { temperature: 3 },
        { top_p: 0 },
        { max_tokens: 0 },
        { stop: [""] },
        { seed: 0.5 },
        { stream: "yes" },
        { top_logprobs: 3 },
        { model: 5 },
        { messages: [] },
      ];
      for (const parameter of wrong) {
        const asked = client.chat.completions.create({ model: "model", messages, ...parameter } as never);
        expect(await refusalOf(asked)).toMatchObject({
          status: 400,
          code: "invalid_value",
          param: Object.keys(parameter)[0],
        });
      }
      const misspelt = { model: "model", messages, max_token: 3 } as never;
      expect(await refusalOf(client.chat.completions.create(misspelt))).toMatchObject({
        message: '400 unknown parameter "max_token"; did you mean max_tokens?',
      });
      const harmless = { user: "me", metadata: { a: "b" }, n: 1, frequency_penalty: 0, logit_bias: {}, tools: [] };
      const asked = { model: "model", messages, max_tokens: 1, ...harmless } as const;
      expect((await client.chat.completions.create(asked as never)) as object).toMatchObject({ model: "model" });
    }));

  test("models that it does not have, other paths and methods, and what is no JSON", () =>
    serving(async ({ server: { url }, client }) => {
      expect(await refusalOf(client.models.retrieve("other"))).toMatchObject({ status: 404, code: "model_not_found" });
      const asked = client.completions.create({ model: "other", prompt: "x" });
      expect(await refusalOf(asked)).toMatchObject({
        ...{ status: 404, code: "model_not_found", param: "model" },
        message: '404 there is no model "other"; there are model',
      });
      expect(await (await fetch(`${url}/v1/models/`)).json()).toMatchObject({ object: "list" });
      expect(await post(`${url}/v1/embeddings`, "{}")).toEqual([404, "not_found"]);
      expect(await post(`${url}/v1/models`, "{}")).toEqual([405, "method_not_allowed"]);
      expect((await fetch(`${url}/v1/completions`, { method: "PUT" })).headers.get("allow")).toBe("POST");
      for (const body of ["", "{", "[]", "null", '"x"']) {
        expect(await post(`${url}/v1/completions`, body)).toEqual([400, "invalid_json"]);
      }
      expect(await post(`${url}/v1/completions`, '{"prompt": "a\\ud800"}')).toEqual([400, "invalid_value"]);
    }));

  test("prompts that are longer than the context, and bodies that are too long, however they come", () =>
    serving(
      async ({ server, client }) => {
        const prompt = "The cat sat. ".repeat(20);
        const asked = client.completions.create({ model: "plain", prompt, stream: true });
        expect(await refusalOf(asked)).toMatchObject({ status: 400, code: "context_length_exceeded" });
        const filled = await client.completions.create({
          model: "plain",
          prompt: "The cat",
          max_tokens: 500,
          ...GREEDY,
        });
        expect(filled.usage!.total_tokens).toBeLessThanOrEqual(32);
        const large = JSON.stringify({ model: "plain", prompt: "x".repeat(9 * 2 ** 20) });
        expect(await post(`${server.url}/v1/completions`, large)).toEqual([413, "request_too_large"]);
        const chunked = new ReadableStream({
          start(controller) {
            for (let i = 0; i < 9; i++) controller.enqueue(new Uint8Array(2 ** 20).fill(32));
            controller.close();
          },
        });
        const init = { method: "POST", body: chunked, duplex: "half" } as RequestInit;
        expect((await fetch(`${server.url}/v1/completions`, init)).status).toBe(413);
        expect(await post(`${server.url}/v1/completions`, "{}")).toEqual([400, "invalid_value"]);
      },
      { contextTokens: 32 },
      "plain",
    ));

  test("clients without its key, which it never tells", () =>
    serving(
      async ({ server: { url }, client }) => {
        expect((await client.models.list()).data.length).toBe(1);
        for (const authorization of [
          "",
          "Bearer",
          "Bearer wrong",
          "Bearer secret-",
          "Basic secret-key",
          "secret-key",
        ]) {
          const answer = await fetch(`${url}/v1/models`, { headers: authorization === "" ? {} : { authorization } });
          expect(answer.status).toBe(401);
          expect(await answer.text()).not.toContain("secret-key");
        }
        expect((await fetch(`${url}/health`)).status).toBe(200);
      },
      { apiKey: "secret-key" },
    ));

  test("pages of other origins, in the shape of its other errors", () =>
    serving(async ({ server: { url } }) => {
      const body = JSON.stringify({ prompt: "x", max_tokens: 1 });
      expect(await post(`${url}/v1/completions`, body, { Origin: "http://evil.example" })).toEqual([403, "refused"]);
      expect(await post(`${url}/v1/completions`, body, { "Sec-Fetch-Site": "cross-site" })).toEqual([403, "refused"]);
    }));
});
