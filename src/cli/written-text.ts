import type { Generation } from "../programs/text-generator.js";
import type { Context } from "./context.js";

/** Prints text of a model, which a file or another program gets to the character. */
export function printer({ outlet }: Context): (text: string) => void {
  return (text) => (outlet.isTTY ? outlet.write(text) : outlet.writeUnchanged(text));
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
