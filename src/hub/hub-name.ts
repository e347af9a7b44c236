/** Kinds of repositories: how messages call them, their names in the cache, and where they lie below the endpoint. */
export const REPOSITORY_KINDS = {
  model: { noun: "model", local: "folder", cache: "models", path: "" },
  dataset: { noun: "data set", local: "file or folder", cache: "datasets", path: "datasets/" },
} as const;

export type RepositoryKind = keyof typeof REPOSITORY_KINDS;

/** A repository on the hub. */
export interface HubRepository {
  /** Name of the form `organisation/name`. */
  readonly name: string;
  /** A branch, a tag, or the forty digits of a commit; `main` by default. */
  readonly revision: string;
}

/** A model on the hub. */
export type HubModel = HubRepository;

/** Names that the hub accepts: letters, digits, and `-`, `_`, `.` between them. */
const PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;
const LONGEST_NAME = 96;
const DEFAULT_REVISION = "main";

/** Parses `organisation/name` or `organisation/name@revision`; undefined if it cannot be a name on the hub. */
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

/** True if a revision is a commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** The name to show, with only the first twelve digits of a commit. */
export function shownModel(name: string): string {
  return name.replace(/@([0-9a-f]{12})[0-9a-f]{28}$/, "@$1");
}
