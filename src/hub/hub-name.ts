import { exists } from "#platform";

/** A model of the hub. */
export interface HubModel {
  /** As in `organisation/name`. */
  readonly name: string;
  /** A branch, a tag, or the first forty digits of a commit. */
  readonly revision: string;
}

/** What the hub takes for names: letters, digits, and `-`, `_`, `.` between them. */
const PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;
const LONGEST_NAME = 96;
const DEFAULT_REVISION = "main";

/** `organisation/name` or `organisation/name@revision`; undefined for what cannot be a name of the hub. */
export function parseHubName(text: string): HubModel | undefined {
  const at = text.indexOf("@");
  const [name, revision] = at < 0 ? [text, DEFAULT_REVISION] : [text.slice(0, at), text.slice(at + 1)];
  const parts = name.split("/");
  if (parts.length !== 2 || name.length > LONGEST_NAME || !parts.every((part) => PART.test(part))) return undefined;
  if (/--|\.\./.test(name) || !isRevision(revision)) return undefined;
  return { name, revision };
}

/** Revisions are paths below `refs` in the cache, so none may lead elsewhere. */
function isRevision(revision: string): boolean {
  return revision.split("/").every((part) => PART.test(part) && !part.endsWith(".lock"));
}

/**
 * The model of the hub that a text names: where nothing on disk has that name, nor is there a folder of its first part, in which
 * the second is misspelt.
 */
export async function namedModel(text: string): Promise<HubModel | undefined> {
  const model = parseHubName(text);
  if (model === undefined || (await exists(text))) return undefined;
  return (await exists(text.split("/")[0]!)) ? undefined : model;
}
