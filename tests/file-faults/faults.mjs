import { createRequire, syncBuiltinESMExports } from "node:module";
import path from "node:path";

const promises = createRequire(import.meta.url)("node:fs").promises;

export const HALVES = ["read", "write", "rm"];

/** Kinds by function; where the path is not the first argument, its place. */
const FUNCTIONS = {
  access: ["stat"],
  appendFile: ["write"],
  copyFile: ["write", 1],
  link: ["link", 1],
  lstat: ["stat"],
  mkdir: ["mkdir"],
  open: ["open"],
  readFile: ["read"],
  readdir: ["readdir"],
  realpath: ["stat"],
  rename: ["rename", 1],
  rm: ["rm"],
  rmdir: ["rm"],
  stat: ["stat"],
  truncate: ["truncate"],
  unlink: ["rm"],
  writeFile: ["write"],
};

const HANDLE_METHODS = {
  appendFile: "write",
  close: "close",
  datasync: "sync",
  read: "read",
  readFile: "read",
  stat: "stat",
  sync: "sync",
  truncate: "truncate",
  write: "write",
  writeFile: "write",
};

let installed = false;

export function installFaults({ folder, kinds, at, mode = "fail", when = "before", code = "EIO", observe }) {
  if (installed) throw new Error("installFaults: remove the faults that are installed first");
  installed = true;
  const root = path.resolve(folder);
  const calls = [];
  const originals = { ...promises };
  let active = true;
  let dead = false;
  /** The kind of call that fails next, after it stopped halfway. */
  let failsNext = null;

  const fail = (kind, target) => {
    if (mode === "kill") process.kill(process.pid, "SIGKILL");
    dead = mode === "dead";
    const message = `${code}: injected into ${kind} '${target}'`;
    return Object.assign(new Error(message), { code, path: target });
  };

  /** Makes the call, or lets it go wrong. `half` does half of it. */
  const intercept = async (kind, target, make, half) => {
    if (!active || outside(target) || !(kinds ?? [kind]).includes(kind)) return make();
    calls.push({ kind, path: path.relative(root, path.resolve(String(target))) });
    if (dead || kind === failsNext) {
      failsNext = null;
      // Even a process that is taken for dead must not run out of handles.
      if (kind === "close") await make();
      throw fail(kind, target);
    }
    if (calls.length !== at) return make();
    if (when === "half") {
      if (half === undefined) throw new Error(`installFaults: no half of ${kind} '${target}'`);
      const result = await half();
      if (result === undefined || mode !== "fail") throw fail(kind, target);
      failsNext = kind;
      return result;
    }
    if (when === "after" || kind === "close") await (await make())?.close?.();
    throw fail(kind, target);
  };

  for (const [name, [kind, place = 0]] of Object.entries(FUNCTIONS)) {
    const original = originals[name];
    promises[name] = async (...args) => {
      const make = observed(name, args, () => original(...args));
      if (name === "open") {
        const opens = /^r[s]*$/.test(args[1] ?? "r") ? "open" : "create";
        return watch(await intercept(opens, args[0], make), args[0]);
      }
      return intercept(kind, args[place], make, halfOf(name, args));
    };
  }
  syncBuiltinESMExports();

  function observed(name, args, make) {
    return observe === undefined || !active || outside(args[0]) ? make : () => observe(name, args.map(String), make);
  }

  function outside(target) {
    return path.relative(root, path.resolve(String(target))).startsWith("..");
  }

  function halfOf(name, args) {
    if (name === "writeFile" || name === "appendFile")
      return () => originals[name](args[0], firstHalf(args[1]), args[2]);
    // It returns all or fails.
    if (name === "readFile") return async () => void (await originals[name](...args));
    if (name === "rm") return () => removeHalf(args[0]);
    return undefined;
  }

  async function removeHalf(target) {
    const files = await originals.readdir(target).catch(() => []);
    for (const file of files.slice(0, Math.ceil(files.length / 2))) {
      await originals.rm(path.join(target, file), { recursive: true });
    }
  }

  function watch(handle, target) {
    for (const [name, kind] of Object.entries(HANDLE_METHODS)) {
      const original = handle[name].bind(handle);
      const halves = {
        read: ([buffer, offset, length, position]) => original(buffer, offset, Math.floor(length / 2), position),
        write: ([buffer, offset = 0, length = buffer.length - offset]) =>
          original(buffer, offset, Math.floor(length / 2)),
        appendFile: ([data]) => original(firstHalf(data)),
        writeFile: ([data]) => original(firstHalf(data)),
      };
      const half = halves[name];
      handle[name] = (...args) => {
        const make = observed(name, [target], () => original(...args));
        return intercept(kind, target, make, half && observed(name, [target], () => half(args)));
      };
    }
    return handle;
  }

  return {
    calls,
    remove: () => {
      active = false;
      installed = false;
      Object.assign(promises, originals);
      syncBuiltinESMExports();
    },
  };
}

function firstHalf(data) {
  return typeof data === "string" ? data.slice(0, data.length / 2) : data.subarray(0, data.length / 2);
}
