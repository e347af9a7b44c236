import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { AdapterKind } from "./adapter-kind.js";
import { CoreAdapter } from "./core-adapter.js";
import { DoRAAdapter } from "./dora-adapter.js";
import { LoRAAdapter } from "./lora-adapter.js";

const BUILT_IN = { lora: LoRAAdapter.kind, dora: DoRAAdapter.kind, core: CoreAdapter.kind };

const KINDS: Map<string, AdapterKind> = new Map(Object.entries(BUILT_IN));

/** The name of a built-in kind of adapter, or of a registered one. */
export type AdapterKindName = keyof typeof BUILT_IN | (string & {});

/** The way to a kind that is not known, in words. */
export const REGISTER_FIRST =
  "a class of your own must be registered before: import the module that calls registerAdapter, on the command line " +
  'and for workers with NODE_OPTIONS="--import ./MODULE.js"';

/** The names of the kinds that a run can train at present. */
export function adapterKinds(): readonly AdapterKindName[] {
  return [...KINDS.keys()];
}

/** The kind of that name. @throws ConfigError for one that is not registered. */
export function adapterKind(name: string): AdapterKind {
  const kind = KINDS.get(name);
  if (kind !== undefined) return kind;
  throw new ConfigError(
    `${optionName("adapterKind")}: must be one of ${adapterKinds().join(", ")}, got "${name}"; ${REGISTER_FIRST}`,
  );
}

/**
 * Makes a kind of adapter known to this process, so that the setting `adapterKind` can name it. Whatever opens a run
 * of that kind, resumes it or exports it needs the kind as well.
 * @param name letters, digits, - and _, from a letter on.
 * @throws ConfigError for a name that is not so, or that is taken.
 */
export function registerAdapter(name: string, kind: AdapterKind): void {
  if (!/^[a-z][\w-]*$/i.test(name)) {
    throw new ConfigError(
      `registerAdapter: the name must be letters, digits, - and _, from a letter on, got "${name}"`,
    );
  }
  if (KINDS.has(name)) {
    throw new ConfigError(`registerAdapter: there is a kind "${name}" already; choose another name`);
  }
  KINDS.set(name, kind);
}
