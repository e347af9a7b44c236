import { isNode, isScalar, parseDocument, visit, type YAMLParseError } from "yaml";
import { ConfigError } from "../base/errors.js";
import { parseJson, shownValue } from "../base/json.js";

/** A config file's settings as written, not yet checked. */
export interface ConfigFile {
  /** Named in error messages. */
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** True for the settings of a run as it resolved them, each of which agrees with the others. */
  readonly isResolved?: boolean;
}

/** Longest config file, in UTF-16 units: every key of a mapping is compared with all that stand before it. */
const MAX_LENGTH = 65_536;

/**
 * Parses a config file: YAML with merge keys (`<<`), of which JSON is a part. A file without content has no settings.
 * @throws ConfigError naming file, line and column of every syntax error; for more than 64 K characters, and for
 * aliases that stand for too much or for themselves.
 */
export function loadConfigFile(text: string, path: string): ConfigFile {
  if (text.length > MAX_LENGTH) {
    throw new ConfigError(
      `${path}: must have at most ${MAX_LENGTH} characters, got ${text.length}; is it a config file?`,
    );
  }
  const values = parseYaml(text, path);
  if (values === null || values === undefined) return { path, values: {} };
  if (typeof values !== "object" || Array.isArray(values)) {
    throw new ConfigError(`${path}: must hold settings, one "name: value" a line, got ${kindOf(values)}`);
  }
  return { path, values: values as Record<string, unknown> };
}

function parseYaml(text: string, path: string): unknown {
  try {
    const document = parseDocument(text, { logLevel: "error", merge: true });
    if (document.errors.length > 0) {
      throw new ConfigError(document.errors.map((error) => `${path}: ${syntaxFault(error)}`).join("\n"));
    }
    // Lists and objects as keys in one another would take twice as long for each level.
    visit(document, {
      Pair: (_, { key }) => {
        if (!isScalar(key))
          throw new ConfigError(`${path}: the name of a setting must be a text, not a list or an object`);
      },
      Alias: (_, { source }, parents) => {
        if (parents.some((parent) => isNode(parent) && "anchor" in parent && parent.anchor === source))
          throw new ConfigError(`${path}: *${source} stands inside of &${source}, which it would repeat; write it out`);
      },
    });
    const values: unknown = document.toJS();
    parseJson(JSON.stringify(values) ?? "null"); // refuses what holds itself or is nested too deep
    return values;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${path}: cannot be read: ${readingFault(error as Error)}`, { cause: error });
  }
}

/** What went wrong with the aliases of a file, or with its depth, as it is made into values. */
function readingFault({ name, message }: Error): string {
  if (/Excessive alias count/.test(message)) return "its aliases (*name) stand for too much; write the values out";
  if (name === "RangeError") return "it is nested too deep";
  return message;
}

function syntaxFault({ code, message, linePos }: YAMLParseError): string {
  if (code !== "MULTIPLE_DOCS") return message.trimEnd();
  const line = linePos?.[0].line;
  return `must hold the settings of one run, but line ${line} begins another document; make it a file of its own`;
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "a list" : `the ${typeof value} ${shownValue(value)}`;
}
