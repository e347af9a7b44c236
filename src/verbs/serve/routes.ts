import { HTTPException } from "hono/http-exception";
import type { SSEStreamingApi } from "hono/streaming";
import { timingSafeEqual } from "hono/utils/buffer";
import { sendEvents } from "../../serving/events.js";
import { type App, refusal, type ServerContext } from "../../serving/server.js";
import { type AnswerFormat, CHAT_FORMAT, type Choice, COMPLETION_FORMAT, usageOf } from "./answers.js";
import { ApiError } from "./api-error.js";
import { type AnswerListener, type Engine, RefusedError } from "./engine.js";
import { readJson } from "./json-body.js";
import { type Ending, isConversation, type Piece, type Question } from "./messages.js";
import { type AnswerRequest, chatRequest, completionRequest } from "./requests.js";

/** Bounds of a server. */
export interface ServerLimits {
  /** Questions that may wait for their turn; more are refused with status 429. */
  readonly queue: number;
  /** Seconds from a question to the end of its answer, which is cut off then. */
  readonly seconds: number;
}

/** Most bytes of a request's body. */
const MAX_BODY_BYTES = 8 * 2 ** 20;

/**
 * The routes of OpenAI's API that a model can answer.
 * @param apiKey null if everybody may ask.
 * @param onFault hears errors that are no refusals, of which clients are told no more than that there was one.
 */
export function addApi(
  app: App,
  engine: Engine,
  { limits, apiKey, onFault }: { limits: ServerLimits; apiKey: string | null; onFault: (error: Error) => void },
): void {
  const created = Math.floor(Date.now() / 1000);
  const models = engine.models.map((id) => ({ id, object: "model", created, owned_by: "highrank" }));
  app.onError((error, c) => {
    const answered = apiErrorOf(error);
    // A client that has left is no fault, and hears of nothing.
    const isFault = answered.status === 500 && !(error instanceof RefusedError) && !c.req.raw.signal.aborted;
    if (isFault) onFault(error);
    return answered.toResponse();
  });
  app.notFound((c) => ApiError.of(404, "not_found", `there is nothing at ${c.req.path}`).toResponse());
  app.use("/v1/*", async (c, next) => {
    if (apiKey !== null) await requireKey(c, apiKey);
    await next();
  });
  app.get("/health", (c) => {
    return c.json({ status: "ok", open: engine.open, parallel: engine.parallel, queue: limits.queue });
  });
  app.get("/v1/models", (c) => c.json({ object: "list", data: models }));
  app.get("/v1/models/:id{.+}", (c) => c.json(models.find(({ id }) => id === modelNamed(c.req.param("id"), engine))!));
  const answering = (read: (body: unknown) => AnswerRequest, format: AnswerFormat) => async (c: ServerContext) => {
    const request = read(await readJson(c, MAX_BODY_BYTES));
    const model = request.model === undefined ? engine.models[0]! : modelNamed(request.model, engine);
    const questions = request.questions.map((question) => ({ ...question, model }));
    // A chat counts from the start, so that those to be rendered are not without number; a text that is ready does not
    // wait for them.
    const open = questions.some(({ prompt }) => isConversation(prompt)) ? engine.open : engine.ready;
    if (open + questions.length > engine.parallel + limits.queue) {
      throw ApiError.of(429, "queue_full", "the server is busy and its queue is full; ask again later");
    }
    const exchange = new Exchange(engine, { ...request, model, questions }, format, limits.seconds);
    return request.isStreamed ? exchange.stream(c) : exchange.answer(c);
  };
  app.post("/v1/chat/completions", answering(chatRequest, CHAT_FORMAT));
  app.post("/v1/completions", answering(completionRequest, COMPLETION_FORMAT));
  const methods = { "/health": "GET", "/v1/models": "GET", "/v1/models/*": "GET" };
  const posts = { "/v1/chat/completions": "POST", "/v1/completions": "POST" };
  for (const [path, method] of Object.entries({ ...methods, ...posts })) {
    app.all(path, (c) => {
      c.header("Allow", method);
      return c.json(ApiError.of(405, "method_not_allowed", `${c.req.path} takes ${method} alone`).body, 405);
    });
  }
}

/** A request to a model that there is. */
interface AcceptedRequest extends Pick<AnswerRequest, "includesUsage"> {
  readonly model: string;
  readonly questions: readonly Question[];
}

/** A request that is being answered. */
class Exchange {
  readonly #engine: Engine;
  readonly #request: AcceptedRequest;
  readonly #format: AnswerFormat;
  readonly #seconds: number;
  readonly #isScored: boolean;
  readonly #head: { readonly id: string; readonly created: number; readonly model: string };

  constructor(engine: Engine, request: AcceptedRequest, format: AnswerFormat, seconds: number) {
    this.#engine = engine;
    this.#request = request;
    this.#format = format;
    this.#seconds = seconds;
    this.#isScored = request.questions[0]!.likeliest !== null;
    const id = `${format.idPrefix}${crypto.randomUUID()}`;
    this.#head = { id, created: Math.floor(Date.now() / 1000), model: request.model };
  }

  /** The whole answer at once. */
  async answer(c: ServerContext): Promise<Response> {
    const pieces = this.#request.questions.map((): Piece[] => []);
    const endings = await this.#ask((index) => ({ onPiece: (piece) => void pieces[index]!.push(piece) }), {
      signal: c.req.raw.signal,
    });
    const choices = endings.map(({ finish }, index) => {
      const text = pieces[index]!.map((piece) => piece.text).join("");
      const tokens = pieces[index]!.flatMap((piece) => piece.tokens);
      return this.#format.choice({ index, text, tokens, finish }, this.#isScored);
    });
    return c.json({ ...this.#head, object: this.#format.object, choices, usage: usageOf(endings) });
  }

  /** The answer piece by piece, from when it has begun, so that a refusal until then has a status of its own. */
  async stream(c: ServerContext): Promise<Response> {
    const sent = new Outbox();
    const left = new AbortController();
    const leave = (): void => left.abort();
    c.req.raw.signal.addEventListener("abort", leave);
    if (c.req.raw.signal.aborted) leave();
    const begun = new Promise<void>((resolve, reject) => {
      const listener = (index: number): AnswerListener => ({
        onBegun: () => {
          if (this.#format.opening !== null) sent.push(this.#chunk([this.#format.opening(index)]));
          resolve();
        },
        onPiece: (piece) => sent.push(this.#part({ index, ...piece, finish: null })),
        onEnded: ({ finish }) => sent.push(this.#part({ index, text: "", tokens: [], finish })),
      });
      this.#ask(listener, left).then(
        (endings) => {
          const { includesUsage } = this.#request;
          if (includesUsage) sent.push({ ...this.#chunk([]), usage: usageOf(endings) });
          sent.end("[DONE]");
        },
        (error) => {
          sent.end(JSON.stringify(apiErrorOf(error).body));
          reject(error);
        },
      );
    });
    await begun;
    return sendEvents(c, async (stream: SSEStreamingApi, signal) => {
      signal.addEventListener("abort", leave);
      if (signal.aborted) leave();
      for await (const data of sent) {
        if (signal.aborted) return;
        await stream.writeSSE({ data });
      }
    });
  }

  /** Asks all questions; where one is refused, the others are left. */
  async #ask(
    listenerOf: (index: number) => AnswerListener,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Ending[]> {
    // One each: Node.js warns of a signal with more than ten listeners.
    const left = this.#request.questions.map(() => new AbortController());
    const leave = (): void => {
      for (const question of left) question.abort(signal.reason);
    };
    signal.addEventListener("abort", leave);
    if (signal.aborted) leave();
    try {
      return await Promise.all(
        this.#request.questions.map((question, index) => {
          return this.#engine.ask(question, listenerOf(index), left[index]!.signal, this.#seconds);
        }),
      );
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  }

  #part(choice: Choice): object {
    return this.#chunk([this.#format.part(choice, this.#isScored)]);
  }

  #chunk(choices: readonly object[]): object {
    const usage = this.#request.includesUsage ? { usage: null } : {};
    return { ...this.#head, object: this.#format.streamedObject, choices, ...usage };
  }
}

/** Events that wait to be sent. */
class Outbox implements AsyncIterable<string> {
  readonly #waiting: string[] = [];
  #hasEnded = false;
  #wake: () => void = () => {};

  push(value: object): void {
    this.#waiting.push(JSON.stringify(value));
    this.#wake();
  }

  /** Adds the last event. */
  end(last: string): void {
    this.#waiting.push(last);
    this.#hasEnded = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    for (;;) {
      while (this.#waiting.length > 0) yield this.#waiting.shift()!;
      if (this.#hasEnded) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function requireKey(c: ServerContext, apiKey: string): Promise<void> {
  const [, given = ""] = /^Bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "") ?? [];
  if (await timingSafeEqual(given, apiKey)) return;
  throw ApiError.of(401, "invalid_api_key", "this server needs its key: Authorization: Bearer KEY");
}

function modelNamed(name: string, { models }: Engine): string {
  if (models.includes(name)) return name;
  const message = `there is no model ${JSON.stringify(name)}; there are ${models.join(", ")}`;
  throw ApiError.of(404, "model_not_found", message, "model");
}

/** The error as clients read it; of what is no refusal, nothing but that there was one. */
function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RefusedError) return ApiError.of(error.refusal.status, error.refusal.code, error.message);
  if (error instanceof HTTPException && error.status < 500) return ApiError.of(error.status, "refused", error.message);
  return ApiError.of(500, "server_error", refusal(error)[0]);
}
