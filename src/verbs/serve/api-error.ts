import { HTTPException } from "hono/http-exception";

type Status = HTTPException["status"];

/** Seconds after which a client that was refused for want of room may ask again. */
const RETRY_AFTER = 1;

/** An error in the shape that clients of OpenAI's API read. */
export class ApiError extends HTTPException {
  readonly code: string;
  /** The parameter that is wrong, if one is. */
  readonly param: string | null;

  private constructor(status: Status, code: string, message: string, param: string | null) {
    super(status, { message });
    this.code = code;
    this.param = param;
  }

  static of(status: Status, code: string, message: string, param: string | null = null): ApiError {
    return new ApiError(status, code, message, param);
  }

  get body(): object {
    const { message, param, code } = this;
    return { error: { message, type: typeOf(this.status), param, code } };
  }

  /** The error as an answer. */
  toResponse(): Response {
    const isBusy = this.status === 429 || this.status === 503;
    const headers = isBusy ? { "Retry-After": String(RETRY_AFTER) } : {};
    return Response.json(this.body, { status: this.status, headers });
  }
}

function typeOf(status: Status): string {
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
