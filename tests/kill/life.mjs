// One life of a run: trains or resumes, writes down every call into the file system and every record, and kills itself where it is
// told to. Started by life.ts, with its order as JSON.
import { openSync, readdirSync, rmSync, statSync, truncateSync, writeSync } from "node:fs";
import path from "node:path";
import { resolveSettings, resume, train } from "../../dist/index.js";
import { installFaults } from "../file-faults/faults.mjs";

const { verb, folder, settings, changes, log, shot } = JSON.parse(process.argv[2]);
const logFile = openSync(log, "w");

/** Written at once, to outlive a kill. */
const tell = (event) => {
  const line = `${JSON.stringify({ ...event, at: performance.timeOrigin + performance.now() })}\n`;
  writeSync(logFile, line);
  if (event.record !== undefined) writeSync(1, line);
};

let calls = 0;
let stage = "opening";
/** How often each call was made in the present stage. */
const made = new Map();

installFaults({
  folder,
  observe: async (name, args, make) => {
    const target = ["rename", "link"].includes(name) ? args[1] : args[0];
    const place = path.relative(folder, path.resolve(target)).replaceAll(/\.[0-9a-f]{12}\./g, ".*.");
    const call = { name: name === "open" && args[1] === "w" ? "create" : name, path: place };
    const key = stage === "opening" ? "" : `${call.name} ${call.path}`;
    const nth = (made.get(key) ?? 0) + 1;
    made.set(key, nth);
    const number = ++calls;
    tell({ call: number, stage, ...call, nth });
    const hit =
      shot?.stage === stage && shot.nth === nth && (stage === "opening" || key === `${shot.name} ${shot.path}`);
    if (hit && shot.when === "before") kill();
    try {
      return await (hit && shot.when === "half" ? half(name, target, make) : make());
    } finally {
      if (hit) kill();
      tell({ made: number });
      if (stage === "opening" && name === "appendFile" && place === "metrics.jsonl") {
        stage = "running";
        made.clear();
      }
    }
  },
});

function kill() {
  process.kill(process.pid, "SIGKILL");
}

/** Leaves half of a write or of a removal; other calls are made. */
async function half(name, target, make) {
  if (name === "rm") {
    const files = statSync(target, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(target) : [];
    for (const file of files.slice(0, Math.ceil(files.length / 2)))
      rmSync(path.join(target, file), { recursive: true });
    return;
  }
  const sizeOf = () => statSync(target, { throwIfNoEntry: false })?.size ?? 0;
  const before = sizeOf();
  const result = await make();
  if (/^(write|writeFile|appendFile)$/.test(name)) truncateSync(target, Math.floor((before + sizeOf()) / 2));
  return result;
}

const options = { onRecord: ({ kind, step }) => tell({ record: kind, step }) };
await (verb === "train"
  ? train(resolveSettings({ flags: { ...settings, ...changes, out: folder } }), options)
  : resume(folder, { changes }, options));
