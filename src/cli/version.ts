import { readFile } from "node:fs/promises";

/** The version of this package. */
export async function packageVersion(): Promise<string> {
  return readVersion(new URL("../../package.json", import.meta.url));
}

/** The `version` field of a package.json. */
export async function readVersion(packageJson: URL | string): Promise<string> {
  return JSON.parse(await readFile(packageJson, "utf8")).version;
}
