import type { ServerContext } from "../../serving/server.js";
import { ApiError } from "./api-error.js";

/**
 * The body of a request, which is JSON. No more than `maxBytes` of it are held.
 * @throws ApiError for one that is longer, or no JSON.
 */
export async function readJson(c: ServerContext, maxBytes: number): Promise<unknown> {
  const tooLarge = ApiError.of(413, "request_too_large", `the body has more than ${maxBytes} bytes`);
  if (Number(c.req.header("content-length") ?? 0) > maxBytes) throw tooLarge;
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge;
    text += decoder.decode(chunk, { stream: true });
  }
  try {
    return JSON.parse(text + decoder.decode());
  } catch {
    throw ApiError.of(400, "invalid_json", "the body is not JSON");
  }
}
