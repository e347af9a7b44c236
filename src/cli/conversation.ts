import process from "node:process";
import { createInterface } from "node:readline";
import { appendLine, exists, extension, isDirectory, openForReading } from "#platform";
import { ConfigError, HighrankError } from "../base/errors.js";
import { suggest } from "../base/suggest.js";
import type { ChatMessage } from "../chats/chat-rendering.js";
import type { WritingOptions } from "../programs/text-generator.js";
import type { Writer } from "../verbs/generate.js";
import type { Context } from "./context.js";
import { describeError } from "./exit-codes.js";
import { typedTurns } from "./typed-turns.js";
import { noteRestarts, printer } from "./written-text.js";

const HELP = [
  "/reset      begins anew, with the system message if there is one",
  "/save FILE  adds the conversation as a line of a .jsonl file, which --data reads",
  "/help       shows this",
  "/exit       ends; so does Ctrl-D",
  'A line that ends in \\ goes on in the next one; so do all between two lines of """.',
  "Ctrl-C stops an answer, and at an empty prompt ends.",
];

/** A command, and what stands behind it; no path such as /etc/hosts. */
const COMMAND = /^\/([a-z]+)(?:\s+(\S.*))?\s*$/;
const COMMANDS = ["reset", "save", "help", "exit"];

/** Answers the turns on standard input until it ends; on a terminal the user is prompted for them. */
export async function converse(
  writer: Writer,
  before: readonly ChatMessage[],
  options: WritingOptions,
  context: Context,
): Promise<void> {
  writer.requireTemplate();
  await new Conversation(writer, before, options, context).run();
}

class Conversation {
  readonly #writer: Writer;
  readonly #before: readonly ChatMessage[];
  readonly #options: WritingOptions;
  readonly #context: Context;
  readonly #isAsked: boolean;
  #messages: ChatMessage[];
  /** Stops the answer that is being written; undefined while none is. */
  #answering: AbortController | undefined;

  constructor(writer: Writer, before: readonly ChatMessage[], options: WritingOptions, context: Context) {
    this.#writer = writer;
    this.#before = before;
    this.#options = options;
    this.#context = context;
    this.#isAsked = context.stdin.isTTY === true;
    this.#messages = [...before];
  }

  async run(): Promise<void> {
    const { stdin, outlet } = this.#context;
    const lines = createInterface({ input: stdin, ...(this.#isAsked && { output: process.stdout }) });
    const ask = (goesOn: boolean): void => {
      lines.setPrompt(goesOn ? ". " : "> ");
      if (this.#isAsked) lines.prompt();
    };
    lines.on("SIGINT", () => {
      if (this.#answering !== undefined) this.#answering.abort();
      else if (lines.line === "") lines.close();
      else {
        // Leaves what was typed, as a shell does.
        outlet.write("^C\n");
        lines.write(null, { ctrl: true, name: "e" });
        lines.write(null, { ctrl: true, name: "u" });
      }
    });
    if (this.#isAsked) this.#context.note("/help tells what there is beside answers");
    ask(false);
    try {
      for await (const turn of typedTurns(lines, ask)) {
        if ((await this.#take(turn)) === "exit") return;
      }
      if (this.#isAsked) outlet.write("\n");
    } finally {
      lines.close();
    }
  }

  async #take(turn: string): Promise<"exit" | "go on"> {
    const [, command, argument = ""] = COMMAND.exec(turn) ?? [];
    if (command === "exit") return "exit";
    try {
      if (command === undefined) await this.#answer(turn);
      else await this.#obey(command, argument);
    } catch (error) {
      // Whoever types can put it right, or save what there is; a file of turns ends here.
      if (!this.#isAsked || !(error instanceof HighrankError)) throw error;
      this.#context.stderr.write(`${describeError(error, { debug: false })}\n`);
    }
    return "go on";
  }

  /**
   * Answers a turn. What was written of a stopped answer stays part of the conversation; a turn whose answer was stopped
   * before its first word is none.
   */
  async #answer(content: string): Promise<void> {
    const show = printer(this.#context);
    const asked = [...this.#messages, { role: "user", content }];
    const stopping = new AbortController();
    const { signal } = stopping;
    this.#answering = stopping;
    let text = "";
    const onText = (piece: string): void => {
      text += piece;
      show(piece);
    };
    try {
      noteRestarts(this.#context, await this.#writer.answer(asked, { ...this.#options, onText, signal }));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#answering = undefined;
      if (text !== "" || signal.aborted) show("\n");
    }
    if (text !== "" || !signal.aborted) this.#messages = [...asked, { role: "assistant", content: text }];
  }

  async #obey(command: string, argument: string): Promise<void> {
    if (command === "reset") this.#messages = [...this.#before];
    else if (command === "help") this.#context.stderr.print(HELP);
    else if (command === "save") await this.#save(argument);
    else {
      const nearest = suggest(command, COMMANDS);
      const hint = nearest === undefined ? "/help lists what there is" : `did you mean /${nearest}?`;
      throw new ConfigError(`/${command}: there is no such command; ${hint}`);
    }
  }

  async #save(file: string): Promise<void> {
    if (extension(file) !== ".jsonl") throw new ConfigError(`/save: name a file that ends in .jsonl, got "${file}"`);
    if (!this.#messages.some(({ role }) => role === "assistant")) {
      throw new ConfigError("/save: there is no answer yet; ask something first");
    }
    const start = (await lacksLineBreak(file)) ? "\n" : "";
    await appendLine(file, start + JSON.stringify({ messages: this.#messages }));
    this.#context.note(`${this.#messages.length} messages are a line of ${file}`);
  }
}

/** True for a file whose last line goes on, as editors may leave it. */
async function lacksLineBreak(file: string): Promise<boolean> {
  if (!(await exists(file)) || (await isDirectory(file))) return false;
  const reader = await openForReading(file);
  try {
    return reader.size > 0 && (await reader.read(reader.size - 1, 1))[0] !== 0x0a;
  } finally {
    await reader.close();
  }
}
