import type { Command } from "commander";
import { ConfigError } from "../base/errors.js";
import { CHAT_OPTIONS } from "../verbs/options.js";
import type { Context } from "./context.js";
import { converse } from "./conversation.js";
import { addOptions, readOptions } from "./options.js";
import { addTargetOptions, readTargetOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
Each answer sees all turns before it. Ctrl-C stops an answer; /help lists what
else can be typed. Lines of a file are answered with chat TARGET < FILE.`;

/** `highrank chat TARGET` */
export function addChat(program: Command, context: Context): void {
  const command = addVerb(program, "chat", "talk to a model", { hasJson: false })
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, CHAT_OPTIONS);
  addTargetOptions(command);
  command.action(async (target: string) => {
    const { system, ...own } = readOptions(command, CHAT_OPTIONS);
    if (context.json) {
      throw new ConfigError(
        "--json: a chat is not one object; ask for one answer with generate TARGET --prompt TEXT --json",
      );
    }
    const options = { ...own, ...readTargetOptions(command), ...context.events };
    const { Writer } = await import("../verbs/generate.js");
    const writer = await Writer.open(target, options);
    try {
      await converse(writer, system === null ? [] : [{ role: "system", content: system }], options, context);
    } finally {
      await writer.release();
    }
  });
}
