import { readText } from "./node-files.js";
import { packageFile } from "./node-paths.js";

/** A text in an installed dependency. @throws DataError if it is not installed. */
export function readPackageText(packageName: string, relativePath: string): Promise<string> {
  return readText(packageFile(packageName, relativePath));
}
