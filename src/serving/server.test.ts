import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { sendEvents } from "./events.js";
import { type App, type Listening, type ListenOptions, listen } from "./server.js";

let servers: Listening[] = [];
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  servers = [];
});

async function serving(addRoutes: (app: App) => void, options: ListenOptions = { port: 0 }): Promise<Listening> {
  const server = await listen(addRoutes, options);
  servers.push(server);
  return server;
}

const hello = (app: App): void => {
  app.all("/", (c) => c.text("hello"));
};

/** Asks with headers that `fetch` does not let a program write. */
async function ask(url: string, headers: Record<string, string>, method = "GET"): Promise<[number, string]> {
  const sent = request(url, { headers, method }).end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  return [answer.statusCode!, await text(answer)];
}

test("it answers under each name of the loopback address, and says where it is", async () => {
  const { url } = await serving(hello);
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  const { port } = new URL(url);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`]) {
    expect(await ask(url, { host })).toEqual([200, "hello"]);
  }
  expect(await ask(`${url}/nowhere`, {})).toEqual([404, "there is nothing at /nowhere"]);
});

test("a path is the same with a slash at its end", async () => {
  const { url } = await serving((app) => void app.get("/models", (c) => c.text("all")));
  for (const path of ["models", "models/"]) expect(await ask(`${url}/${path}`, {})).toEqual([200, "all"]);
});

test("a page whose own name leads to the loopback address gets nothing", async () => {
  const { url } = await serving(hello);
  const { port } = new URL(url);
  const others = ["evil.example", "localhost.evil.example", "127.0.0.2", "[::2]"];
  for (const host of [...others.map((name) => `${name}:${port}`), "localhost", `localhost:${Number(port) + 1}`]) {
    const [status, said] = await ask(url, { host });
    expect([host, status, said]).toEqual([
      host,
      403,
      `this server is not ${JSON.stringify(host)}; ask for localhost:${port}`,
    ]);
  }
  for (const malformed of [`evil.example#localhost:${port}`, `[::1]x:${port}`]) {
    expect(await ask(url, { host: malformed })).toEqual([400, ""]);
  }
});

test("pages of other origins get nothing; its own pages, links to it, and programs do", async () => {
  const { url } = await serving(hello);
  const origin = url;
  const refused = [403, "this server takes no requests from pages of other origins"];
  for (const foreign of ["http://evil.example", "null", url.replace("http:", "https:"), "http://127.0.0.1:1"]) {
    expect(await ask(url, { origin: foreign }, "POST")).toEqual(refused);
  }
  for (const site of ["cross-site", "same-site"]) {
    expect(await ask(url, { "sec-fetch-site": site, "sec-fetch-mode": "no-cors" })).toEqual(refused);
    expect(await ask(url, { "sec-fetch-site": site, "sec-fetch-mode": "navigate" }, "POST")).toEqual(refused);
    expect(await ask(url, { "sec-fetch-site": site, "sec-fetch-mode": "navigate" })).toEqual([200, "hello"]);
  }
  expect(await ask(url, { origin, "sec-fetch-site": "same-origin" }, "POST")).toEqual([200, "hello"]);
  const answer = await fetch(url);
  expect(answer.headers.get("access-control-allow-origin")).toBeNull();
  expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  expect(answer.headers.get("x-frame-options")).toBe("SAMEORIGIN");
});

test("no other address of the machine leads to it, unless it was asked for", async () => {
  const { port } = new URL((await serving(hello)).url);
  const refused = async (host: string): Promise<unknown> => {
    const socket = connect(Number(port), host);
    try {
      return await once(socket, "connect").then(
        () => "connected",
        (error) => error.code,
      );
    } finally {
      socket.destroy();
    }
  };
  expect(await refused("127.0.0.1")).toBe("connected");
  expect(await refused("127.0.0.2")).not.toBe("connected");
  const open = await serving(hello, { host: "0.0.0.0", port: 0 });
  expect(await ask(open.url, {})).toEqual([200, "hello"]);
  const { port: openPort, hostname } = new URL(open.url);
  expect(hostname).toBe("127.0.0.1");
  expect(await ask(`http://127.0.0.1:${openPort}`, { host: `192.0.2.7:${openPort}` })).toEqual([200, "hello"]);
  expect((await ask(`http://127.0.0.1:${openPort}`, { host: `evil.example:${openPort}` }))[0]).toBe(403);
});

test("a port that is taken is told with the way out; so is an address that the machine does not have", async () => {
  const { url } = await serving(hello);
  const port = Number(new URL(url).port);
  await expect(listen(hello, { port })).rejects.toThrow(
    new ConfigError(
      `port: port ${port} of 127.0.0.1 is taken by another program; name another port, or 0 for any free one`,
    ),
  );
  await expect(listen(hello, { host: "192.0.2.7", port: 0 })).rejects.toThrow(/^host: this machine has no address/);
});

test("what a handler throws is not told to the client", async () => {
  const { url } = await serving((app) =>
    app.get("/", () => {
      throw new Error("a secret");
    }),
  );
  expect(await ask(url, {})).toEqual([500, "the server failed to answer"]);
});

test("closing ends open streams, and a client that goes ends its own", async () => {
  const ended: string[] = [];
  const server = await serving((app) =>
    app.get("/:name", (c) =>
      sendEvents(c, async (stream, signal) => {
        await stream.writeSSE({ data: "first" });
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        ended.push(c.req.param("name"));
      }),
    ),
  );
  const left = new AbortController();
  const [stays, goes] = await Promise.all([
    fetch(`${server.url}/stays`),
    fetch(`${server.url}/goes`, { signal: left.signal }),
  ]);
  expect(stays.headers.get("content-type")).toBe("text/event-stream");
  const gone = goes.text();
  left.abort();
  await expect(gone).rejects.toThrow();
  await expect.poll(() => ended).toEqual(["goes"]);
  const read = stays.text();
  await server.close();
  expect(ended).toEqual(["goes", "stays"]);
  expect(await read).toBe("data: first\n\n");
  await expect(fetch(server.url)).rejects.toThrow();
});

test("a fault in the middle of a stream becomes its last event", async () => {
  const { url } = await serving((app) =>
    app.get("/", (c) =>
      sendEvents(c, async (stream) => {
        await stream.writeSSE({ data: "first" });
        throw new Error("a secret");
      }),
    ),
  );
  expect(await ask(url, {})).toEqual([200, "data: first\n\nevent: error\ndata: the server failed to answer\n\n"]);
});
