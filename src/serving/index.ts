export { sendEvents } from "./events.js";
export { type App, type Listening, type ListenOptions, listen, refusal, type ServerContext } from "./server.js";
