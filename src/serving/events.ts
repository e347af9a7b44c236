import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import { refusal, type ServerContext } from "./server.js";

/**
 * Answers with server-sent events, as `write` sends them, until it is done. What it throws becomes an event `error`.
 * @param write hears by `signal` that the client has gone or the server closes; it must then end.
 */
export function sendEvents(
  c: ServerContext,
  write: (stream: SSEStreamingApi, signal: AbortSignal) => Promise<void>,
): Response {
  const { closing } = c.var;
  return streamSSE(c, async (stream) => {
    const left = new AbortController();
    const leave = (): void => left.abort();
    closing.addEventListener("abort", leave);
    stream.onAbort(leave);
    if (closing.aborted || stream.aborted) leave();
    try {
      await write(stream, left.signal);
    } catch (error) {
      if (!left.signal.aborted) await stream.writeSSE({ event: "error", data: refusal(error)[0] });
    } finally {
      closing.removeEventListener("abort", leave);
    }
  });
}
