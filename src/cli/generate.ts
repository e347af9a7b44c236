import { type Command, Option } from "commander";
import { ConfigError } from "../base/errors.js";
import { SETTINGS } from "../config/settings.js";
import type { Generation } from "../programs/text-generator.js";
import type { Context } from "./context.js";
import { converse } from "./conversation.js";
import { addOptions, type OptionTable, type OptionValues, readOptions } from "./options.js";
import { addTargetOptions, readTargetOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";
import { noteRestarts, printer } from "./written-text.js";

const OPTIONS = {
  prompt: {
    type: "string",
    default: "",
    help: "Text to continue; empty for the start of a document. With --chat, what the user says.",
  },
  maxNewTokens: { type: "integer", default: 100, min: 1, unit: "tokens", help: "Tokens to generate." },
  temperature: { type: "number", default: 0.8, min: 0, help: "Spread of the sampling; 0 takes the likeliest token." },
  topK: {
    type: "integer",
    isRare: true,
    default: null,
    none: "all",
    min: 1,
    unit: "tokens",
    help: "Sample from this many of the likeliest tokens.",
  },
  topP: {
    type: "number",
    isRare: true,
    default: 1,
    above: 0,
    max: 1,
    help: "Sample from the likeliest tokens that together have this probability.",
  },
  seed: { ...SETTINGS.seed, isRare: true },
  chat: {
    type: "boolean",
    default: false,
    help: "Answer the prompt as the assistant of a chat; without a prompt, line after line of standard input.",
  },
  system: { type: "string", default: null, none: "no system message", help: "With --chat, the system message." },
  chatTemplate: { ...SETTINGS.chatTemplate, isRare: true },
  float32: {
    type: "boolean",
    isRare: true,
    default: false,
    help: "Hold 16-bit weights in float32: faster, for twice the memory.",
  },
} as const satisfies OptionTable;

const STOP = "--stop <text>";
const STOP_HELP = "Stop before this text; may be given several times.";

const HELP_AFTER = `
The model remembers the text so far, up to its context. A longer text
continues from its last half, and a note says so. With --json, the whole text
comes at the end, with its tokens and the milliseconds for each.`;

/** `highrank generate TARGET --prompt T` */
export function addGenerate(program: Command, context: Context): void {
  const command = addVerb(program, "generate", "continue a prompt, or chat")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, OPTIONS);
  const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  command.addOption(new Option(STOP, STOP_HELP).argParser(collect).default([], "none"));
  addTargetOptions(command);
  command.action(async (target: string) => {
    const own = readOptions(command, OPTIONS);
    const { stop } = command.opts<{ readonly stop: readonly string[] }>();
    requireSense(own, stop, context);
    const options = { ...own, ...readTargetOptions(command), ...context.events, stop };
    const { Writer } = await import("../verbs/generate.js");
    const writer = await Writer.open(target, options);
    const { chat, prompt, system } = own;
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
  { chat, prompt, system, chatTemplate }: OptionValues<typeof OPTIONS>,
  stop: readonly string[],
  { json }: Context,
): void {
  const faults: string[] = [];
  if (stop.includes("")) faults.push("--stop: must be a text of at least one character, got an empty one");
  if (!chat && system !== null) faults.push("--system is for chats; add --chat, or put the text before the prompt");
  if (!chat && chatTemplate !== null) faults.push("--chat-template is for chats; add --chat, or leave it out");
  if (chat && json && prompt === "") faults.push("--json: a chat gives one answer; ask for it with --prompt");
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
