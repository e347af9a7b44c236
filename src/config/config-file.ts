import { parseDocument } from "yaml";
import { ConfigError } from "../tensor/errors.js";

/** A config file's settings as written, not yet checked. */
export interface ConfigFile {
  /** Named in error messages. */
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Parses a config file: YAML, of which JSON is a part. A file without content has no settings.
 * @throws ConfigError naming file, line and column of every syntax error.
 */
export function loadConfigFile(text: string, path: string): ConfigFile {
  const document = parseDocument(text);
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => `${path}: ${error.message.trimEnd()}`).join("\n"));
  }
  const values: unknown = document.toJS();
  if (values === null || values === undefined) return { path, values: {} };
  if (typeof values !== "object" || Array.isArray(values)) {
    throw new ConfigError(`${path}: must hold settings, one "name: value" a line, got ${kindOf(values)}`);
  }
  return { path, values: values as Record<string, unknown> };
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "a list" : `the ${typeof value} ${JSON.stringify(value)}`;
}
