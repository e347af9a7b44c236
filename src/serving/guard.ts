import type { MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";

/** Names of this machine, by which no other can be meant. */
export const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** True for an address that only programs of this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "::1" || LOOPBACK.includes(host);
}

/**
 * Refuses what a web page sends behind the user's back, with status 403: requests under a name that is not the
 * server's, as a page sends them whose own name was made to lead here (DNS rebinding), and requests that a page of
 * another origin sends.
 * @param names hosts that the server goes by, IPv6 addresses in brackets.
 * @param port of the server, which a `Host` names unless it is 80.
 * @param anyAddress true if all addresses, which no page can have for a name, are the server's.
 */
export function guard(
  names: readonly string[],
  port: () => number,
  { anyAddress = false }: { readonly anyAddress?: boolean } = {},
): MiddlewareHandler {
  const allowed = new Set(names.map((name) => name.toLowerCase()));
  const isServer = (host: string): boolean => {
    const [, name = "", hostPort = "80"] = /^(\[[\da-f:.]+\]|[^:[\]]*)(?::(\d+))?$/i.exec(host) ?? [];
    const isNamed = allowed.has(name.toLowerCase()) || (anyAddress && isAddress(name));
    return isNamed && Number(hostPort) === port();
  };
  return async (c, next) => {
    const host = c.req.header("host") ?? "";
    if (!isServer(host)) {
      throw new HTTPException(403, {
        message: `this server is not ${shown(host)}; ask for ${names[0]}:${port()}`,
      });
    }
    const origin = c.req.header("origin");
    // A page cannot leave this header out, nor write it.
    const isForeign = ["cross-site", "same-site"].includes(c.req.header("sec-fetch-site") ?? "");
    const isNavigation = c.req.header("sec-fetch-mode") === "navigate" && c.req.method === "GET";
    if ((origin !== undefined && origin !== `http://${host}`) || (isForeign && !isNavigation)) {
      throw new HTTPException(403, { message: "this server takes no requests from pages of other origins" });
    }
    await next();
  };
}

/** `1.2.3.4` or `[::1]`. */
function isAddress(name: string): boolean {
  return name.startsWith("[") || /^\d+(\.\d+){3}$/.test(name);
}

/** The header as it may stand in a message. */
function shown(host: string): string {
  return JSON.stringify(host.slice(0, 100));
}
