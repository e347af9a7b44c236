import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import { listenHttp, machineName } from "#platform";
import { guard, isLoopback, LOOPBACK } from "./guard.js";

/** What the handlers of a server find in their context. */
export interface ServerEnv {
  readonly Variables: {
    /** Aborted when the server closes, so that open streams end. */
    readonly closing: AbortSignal;
  };
}

export type App = Hono<ServerEnv>;

export interface ListenOptions {
  /** The address to listen on. Default 127.0.0.1, which only programs of this machine reach. */
  readonly host?: string;
  /** 0 for any free one. */
  readonly port: number;
}

/** A server that listens. */
export interface Listening {
  /** As `http://127.0.0.1:8000`: where this machine reaches it, also where it listens on all addresses. */
  readonly url: string;
  /** Ends open streams, waits a second for other answers under way, and frees the port. */
  close(): Promise<void>;
}

/** Time in ms that answers under way have left when the server closes. */
const GRACE_MS = 1000;

/** Addresses that stand for all of a machine, and those of them by which it reaches itself. */
const ALL_ADDRESSES: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
]);

/**
 * Serves the routes that `addRoutes` gives an application, which no web page of another origin can use: see `guard`.
 * @throws ConfigError if the port is taken, or the machine does not have the address.
 */
export async function listen(
  addRoutes: (app: App) => void,
  { host = "127.0.0.1", port }: ListenOptions,
): Promise<Listening> {
  const closing = new AbortController();
  let actualPort = port;
  // A path means the same with a slash at its end.
  const app: App = new Hono({ strict: false });
  app.onError((error, c) => {
    const [text, status] = refusal(error);
    return c.text(text, status);
  });
  app.notFound((c) => c.text(`there is nothing at ${c.req.path}`, 404));
  app.use(secureHeaders({ strictTransportSecurity: false }));
  const isLocal = isLoopback(host);
  const names = isLocal ? LOOPBACK : [machineName(), host, "localhost"];
  app.use(guard(names, () => actualPort, { anyAddress: !isLocal }));
  app.use(async (c, next) => {
    c.set("closing", closing.signal);
    await next();
  });
  addRoutes(app);
  const listener = await listenHttp((request) => app.fetch(request), host, port);
  actualPort = listener.port;
  const reached = ALL_ADDRESSES.get(host) ?? host;
  return {
    url: `http://${reached.includes(":") ? `[${reached}]` : reached}:${listener.port}`,
    async close() {
      closing.abort();
      await listener.close(GRACE_MS);
    },
  };
}

type Refusal = [text: string, status: HTTPException["status"]];

/** What an error that a handler threw tells the client; of faults of ours, nothing but that there was one. */
export function refusal(error: unknown): Refusal {
  if (error instanceof HTTPException) return [error.message, error.status];
  return ["the server failed to answer", 500];
}

/** The context of a handler. */
export type ServerContext = Context<ServerEnv>;
