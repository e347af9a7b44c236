// A message names settings and options once, for two readers: programs know them as keys, the command line as flags.
// Unicode's interlinear annotation marks hold both, so that the text can become part of another before it is shown.

const [ANCHOR, SEPARATOR, TERMINATOR] = ["\ufff9", "\ufffa", "\ufffb"];
const EITHER = new RegExp(`${ANCHOR}([^${TERMINATOR}]*)${SEPARATOR}([^${TERMINATOR}]*)${TERMINATOR}`, "g");

/** Words for a program, and others for the command line. */
export function either(program: string, commandLine: string): string {
  return `${ANCHOR}${program}${SEPARATOR}${commandLine}${TERMINATOR}`;
}

/**
 * A setting or an option, with a value if one is given, for a message: `maxSteps`, `quantize: "nf4"` and
 * `overwrite: true` for programs, `--max-steps`, `--quantize nf4` and `--overwrite` on the command line.
 */
export function optionName(key: string, value?: string | number | boolean | null): string {
  if (value === undefined) return either(key, flagOf(key));
  const inCode = `${key}: ${JSON.stringify(value)}`;
  if (typeof value === "boolean") return either(inCode, value ? flagOf(key) : flagOf(`no-${key}`));
  return either(inCode, `${flagOf(key)} ${value ?? "none"}`);
}

/** The text with settings and options as keys. */
export function forProgram(text: string): string {
  return text.replace(EITHER, "$1");
}

/** A listener that hears texts with settings and options as keys, for a program that listens. */
export function heardByProgram<L extends ((text: string) => void) | undefined>(listener: L): L {
  return (listener && ((text: string) => listener(forProgram(text)))) as L;
}

/** The text with settings and options as flags. */
export function forCommandLine(text: string): string {
  return text.replace(EITHER, "$2");
}

/** `totalBatchSize` and `total_batch_size` -> `total-batch-size`. */
export function kebabCase(name: string): string {
  return name.replaceAll("_", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The flag of a setting or an option as it is typed: `--total-batch-size`. */
export function flagOf(name: string): string {
  return `--${kebabCase(name)}`;
}

/** The file that holds the settings of a run, by which its folder is known. */
export const RUN_SETTINGS = "config.resolved.json";
