import { workerPort } from "../../dist/platform/node.js";

const port = workerPort();
port.onMessage(() => port.post({ encoded: "by a thread" }));
