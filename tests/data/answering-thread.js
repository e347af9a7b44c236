import { inWorker } from "../../dist/platform/node.js";

inWorker((port) => port.onMessage(() => port.post({ encoded: "by a thread" })));
