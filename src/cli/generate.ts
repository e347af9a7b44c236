import { type Command, Option } from "commander";
import { ConfigError } from "../base/errors.js";
import type { Generation } from "../programs/text-generator.js";
import { GENERATION_OPTIONS } from "../verbs/options.js";
import { answerFile } from "./answer-file.js";
import type { Context } from "./context.js";
import { converse } from "./conversation.js";
import { addOptions, type OptionValues, readOptions } from "./options.js";
import { addTargetOptions, readTargetOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";
import { noteRestarts, printer } from "./written-text.js";

const STOP = "--stop <text>";
const STOP_HELP = "Stop before this text; may be given several times.";

const HELP_AFTER = `
The model remembers the text so far, up to its context. A longer text
continues from its last half, and a note says so. With --json, the whole text
comes at the end, with its tokens and the milliseconds for each.`;

/** `highrank generate TARGET --prompt T`, or `--data F --out G` */
export function addGenerate(program: Command, context: Context): void {
  const command = addVerb(program, "generate", "continue a prompt, or chat")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, GENERATION_OPTIONS);
  const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  command.addOption(new Option(STOP, STOP_HELP).argParser(collect).default([], "none"));
  addTargetOptions(command);
  command.action(async (target: string) => {
    const own = readOptions(command, GENERATION_OPTIONS);
    const { stop } = command.opts<{ readonly stop: readonly string[] }>();
    requireSense(own, stop, context);
    if (own.chat === true && command.getOptionValue("prompt") === "") {
      throw new ConfigError(
        "--prompt: is empty, and a chat needs a question; write one, or leave it out to chat line by line",
      );
    }
    const options = { ...own, ...readTargetOptions(command), ...context.events, stop };
    const { data, out } = own;
    if (data !== null && out !== null) return answerFile(target, { ...options, data, out }, context);
    const { Writer } = await import("../verbs/generate.js");
    const writer = await Writer.open(target, options);
    const { prompt, system, chatTemplate } = own;
    const isMeant = system !== null || chatTemplate !== null;
    const chat = own.chat ?? (prompt !== "" && (isMeant || writer.hasTemplate));
    if (own.chat === null && chat && !isMeant) {
      context.note("answers as a chat, since the tokenizer has a chat template; --no-chat continues the text");
    }
    if (/\\n/.test(prompt)) {
      context.note("the prompt has a backslash and an n; shells write a line break as in --prompt $'a\\nb'");
    }
    try {
      const before = system === null ? [] : [{ role: "system", content: system }];
      if (chat && prompt === "") await converse(writer, before, options, context);
      else if (chat) {
        await show(context, { system, prompt }, "", (onText) =>
          writer.answer([...before, { role: "user", content: prompt }], { ...options, ...onText }),
        );
      } else {
        await show(context, { prompt }, prompt, (onText) => writer.continue(prompt, { ...options, ...onText }));
      }
    } finally {
      await writer.release();
    }
  });
}

/** @throws ConfigError for options that do not go together. */
function requireSense(
  { chat, prompt, system, chatTemplate, data, out, columns, batchSize }: OptionValues<typeof GENERATION_OPTIONS>,
  stop: readonly string[],
  { json }: Context,
): void {
  const faults: string[] = [];
  if (stop.includes("")) faults.push("--stop: must be a text of at least one character, got an empty one");
  const needs: readonly [name: string, isGiven: boolean][] = [
    ["--out", out !== null],
    ["--columns", columns.length > 0],
    ["--batch-size", batchSize !== null],
  ];
  if (data === null) {
    for (const [name] of needs.filter(([, isGiven]) => isGiven)) faults.push(`${name} goes with --data; add it`);
  } else {
    if (out === null) faults.push("--data: name the file for the answers with --out");
    if (prompt !== "") faults.push("--prompt does not go with --data, which holds the prompts; leave one of them out");
    if (chat === false && system !== null) faults.push("--system is for chats; leave out --no-chat");
    if (faults.length > 0) throw new ConfigError(faults.join("\n"));
    return;
  }
  const isText = chat === false || (chat === null && prompt === "");
  if (isText && system !== null) faults.push("--system is for chats; add --chat, or put the text before the prompt");
  if (isText && chatTemplate !== null) faults.push("--chat-template is for chats; add --chat, or leave it out");
  if (chat === true && json && prompt === "") faults.push("--json: a chat gives one answer; ask for it with --prompt");
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
}

/** Shows a text as it is written, after `before`; with `--json` all at the end. */
async function show(
  context: Context,
  asked: object,
  before: string,
  write: (onText: { onText?: (piece: string) => void }) => Promise<Generation>,
): Promise<void> {
  if (context.json) {
    const generation = await write({});
    context.result({ ...asked, ...generation }, () => []);
    noteRestarts(context, generation);
    return;
  }
  const print = printer(context);
  // The prompt comes with the first piece, so that an error on the way there stands alone.
  let unshown = before;
  const onText = (piece: string): void => {
    print(unshown + piece);
    unshown = "";
  };
  const generation = await write({ onText });
  print(`${unshown}\n`);
  noteRestarts(context, generation);
}
