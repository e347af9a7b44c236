import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { hostname } from "node:os";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";

/** Answers a request; what it throws becomes an answer with status 500. */
export type Fetch = (request: Request) => Response | Promise<Response>;

export interface HttpListener {
  /** The port that it listens on. */
  readonly port: number;
  /** Takes no more connections and waits for the answers under way, at most so long; then it cuts them off. */
  close(graceMs: number): Promise<void>;
}

/**
 * Listens for HTTP requests. Only connections to the address `host` reach it.
 * @param port 0 for any that is free.
 * @throws ConfigError if the port is taken, or the machine does not have the address.
 */
export async function listenHttp(fetch: Fetch, host: string, port: number): Promise<HttpListener> {
  const { createAdaptorServer } = await import("@hono/node-server");
  // The classes of requests and answers stay those of the runtime.
  const server = createAdaptorServer({ fetch, hostname: host, overrideGlobalObjects: false }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenFault(error, host, port)));
    server.listen(port, host, resolve);
  });
  const closeIdle = closerOfIdle(server);
  let closed: Promise<void> | undefined;
  return {
    port: (server.address() as AddressInfo).port,
    close(graceMs) {
      closed ??= new Promise((resolve) => {
        const cutOff = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(cutOff);
          resolve();
        });
        closeIdle();
      });
      return closed;
    },
  };
}

/**
 * A function that closes the connections without an answer under way, and from then on each whose answer has ended.
 * Those of Node.js pass over connections on which nothing was asked yet, as browsers open them in advance.
 */
function closerOfIdle(server: Server): () => void {
  const answers = new Map<Socket, number>();
  let isClosing = false;
  const count = (socket: Socket, change: number): void => {
    const before = answers.get(socket);
    if (before === undefined) return; // it is closed
    answers.set(socket, before + change);
    if (isClosing && before + change === 0) socket.end();
  };
  server.on("connection", (socket) => {
    answers.set(socket, 0);
    count(socket, 0);
    socket.once("close", () => answers.delete(socket));
  });
  server.on("request", ({ socket }, answer) => {
    count(socket, 1);
    answer.once("close", () => count(socket, -1));
  });
  return () => {
    isClosing = true;
    for (const socket of answers.keys()) count(socket, 0);
  };
}

/** The name that the machine has among others. */
export function machineName(): string {
  return hostname();
}

function listenFault(error: NodeJS.ErrnoException, host: string, port: number): unknown {
  const options = { cause: error };
  const name = optionName("port");
  switch (error.code) {
    case "EADDRINUSE":
      return new ConfigError(
        `${name}: port ${port} of ${host} is taken by another program; name another port, or 0 for any free one`,
        options,
      );
    case "EACCES":
      return new ConfigError(
        `${name}: the system keeps port ${port} for itself; name one from 1024 up, or 0 for any free one`,
        options,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return new ConfigError(
        `${optionName("host")}: this machine has no address ${host}; leave it out for this machine alone, or name ` +
          "0.0.0.0 for all its addresses",
        options,
      );
    default:
      return error;
  }
}
