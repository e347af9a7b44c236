// Trains in this process and prints a line of JSON after each of some steps: what the process holds once garbage is collected.
// node long-run.mjs STEPS SETTINGS, with STEPS as in 50,500 and SETTINGS as JSON; needs the built library.
import { resolveSettings } from "../../dist/config/resolve.js";
import { collectGarbage } from "../../dist/platform/node.js";
import { liveSessionCount } from "../../dist/runtime/session.js";
import { train } from "../../dist/training/train.js";

/** What was freed by finalizers of one step is collected in the next. */
const SETTLING = 4;

const steps = process.argv[2].split(",").map(Number);
const settings = resolveSettings({
  flags: { ...JSON.parse(process.argv[3]), maxSteps: Math.max(...steps) + SETTLING },
});

await train(settings, {
  onRecord: ({ kind, step }) => {
    const after = steps.findLast((measured) => measured < step);
    if (kind !== "step" || after === undefined || step > after + SETTLING) return;
    collectGarbage();
    if (step < after + SETTLING) return;
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
    console.log(JSON.stringify({ step: after, rss, heapUsed, arrayBuffers, sessions: liveSessionCount() }));
  },
});
