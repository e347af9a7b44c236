import type { Generation } from "../programs/text-generator.js";
import type { Context } from "./context.js";
import { isInteractive, withoutControls } from "./terminal.js";

/** Prints text of a model; on a terminal without control characters. */
export function printer({ terminal, env }: Context): (text: string) => void {
  const shown = isInteractive(terminal, env) ? withoutControls : String;
  return (text) => void terminal.write(shown(text));
}

/** Notes that the model did not see all of the text. */
export function noteRestarts(context: Context, { contextTokens, contextRestarts }: Generation): void {
  if (contextRestarts === 0) return;
  const times = contextRestarts === 1 ? "once" : `${contextRestarts} times`;
  context.note(
    `the text outgrew the ${contextTokens} tokens that the model sees, ` +
      `and continued from the last half of them ${times}`,
  );
}
