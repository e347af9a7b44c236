import * as highrank from "highrank";
import { transform } from "sucrase";
import { deno } from "./deno.ts";

/** What a cell gives as it runs. */
export type CellOutput =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "picture"; readonly svg: string };

const MOST_LINES = 1000;

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
  ...parametersAndBody: string[]
) => (require: (name: string) => unknown, console: object, Deno: object) => Promise<void>;

/** Runs TypeScript that imports from "highrank" and may wait at its top level, as a cell of Deno's kernel does. */
export async function runCode(code: string, output: (output: CellOutput) => void): Promise<void> {
  const script = transform(code, { transforms: ["typescript", "imports"], disableESTransforms: true }).code;
  let lines = 0;
  const log = (...values: unknown[]): void => {
    // A page that draws a line a microsecond could not be stopped.
    if (++lines > MOST_LINES) return;
    output({ kind: "line", text: lines < MOST_LINES ? values.map(shown).join(" ") : "… what follows is not shown" });
  };
  await new AsyncFunction("require", "console", "Deno", script)(
    moduleNamed,
    { log, info: log, warn: log, error: log },
    deno((svg) => output({ kind: "picture", svg })),
  );
}

function moduleNamed(name: string): unknown {
  if (name !== "highrank") throw new Error(`cells of this page can import from "highrank", not from "${name}"`);
  return highrank;
}

/** A value as a console shows it, or nearly. */
function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (ArrayBuffer.isView(value) || Array.isArray(value)) {
    const items = Array.from(value as ArrayLike<unknown>);
    return `[ ${items.map((item) => (typeof item === "string" ? JSON.stringify(item) : shown(item))).join(", ")} ]`;
  }
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
