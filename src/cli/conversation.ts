import process from "node:process";
import { createInterface } from "node:readline";
import type { ChatMessage } from "../chats/chat-rendering.js";
import type { WritingOptions } from "../programs/text-generator.js";
import type { Writer } from "../verbs/generate.js";
import type { Context } from "./context.js";
import { noteRestarts, printer } from "./written-text.js";

/** Answers each line of standard input until it ends; on a terminal the user is prompted for them. */
export async function converse(
  writer: Writer,
  before: readonly ChatMessage[],
  options: WritingOptions,
  context: Context,
): Promise<void> {
  const { stdin, outlet } = context;
  const isAsked = stdin.isTTY === true;
  const lines = createInterface({ input: stdin, ...(isAsked && { output: process.stdout }), prompt: "> " });
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const print = printer(context);
  const messages = [...before];
  if (isAsked) lines.prompt();
  for await (const line of lines) {
    if (line.trim() !== "") {
      messages.push({ role: "user", content: line });
      const generation = await writer.answer(messages, { ...options, onText: print });
      print("\n");
      noteRestarts(context, generation);
      messages.push({ role: "assistant", content: generation.text });
    }
    if (isAsked) lines.prompt();
  }
  if (isAsked) outlet.write("\n");
}
