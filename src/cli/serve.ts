import { type Command, Option } from "commander";
import { ConfigError } from "../base/errors.js";
import { SERVER_OPTIONS } from "../verbs/options.js";
import type { Context } from "./context.js";
import type { ExitCode } from "./exit-codes.js";
import { withInterrupts } from "./interrupts.js";
import { addOptions, readOptions } from "./options.js";
import { shellWord } from "./shell-word.js";
import { addPlainTargetOptions, readPlainTargetOptions, TARGET_HELP } from "./target-options.js";
import { addVerb } from "./usage.js";

const ADAPTER = "--adapter <name=path>";
const ADAPTER_HELP =
  "PEFT adapter for the model TARGET, a folder or a name of the hub, which requests choose by this name; may be given several times.";

const HELP_AFTER = `
Answers requests of OpenAI's API: /v1/chat/completions, /v1/completions,
/v1/models and /health. Only programs of this machine reach it, unless --host
says otherwise. Ctrl-C ends it.`;

/** `highrank serve TARGET` */
export function addServe(program: Command, context: Context): void {
  const command = addVerb(program, "serve", "answer programs over HTTP, as OpenAI's API does")
    .argument("<TARGET>", TARGET_HELP)
    .addHelpText("after", HELP_AFTER);
  addOptions(command, SERVER_OPTIONS);
  const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  command.addOption(new Option(ADAPTER, ADAPTER_HELP).argParser(collect).default([], "none"));
  addPlainTargetOptions(command);
  command.action(async (target: string) => {
    const { apiKey, ...own } = readOptions(command, SERVER_OPTIONS);
    const { adapter } = command.opts<{ readonly adapter: readonly string[] }>();
    const key = apiKey ?? (context.env.HIGHRANK_API_KEY || null);
    const adapters = parseAdapters(adapter);
    const { serveTarget } = await import("../verbs/serve/serve.js");
    const options = { ...own, ...readPlainTargetOptions(command), ...context.events, adapters, apiKey: key };
    const server = await serveTarget(target, options);
    const { url, models, parallel } = server;
    const header = key === null ? "" : ' -H "Authorization: Bearer $HIGHRANK_API_KEY"';
    const question = JSON.stringify({ model: models[0], messages: [{ role: "user", content: "Hello" }] });
    context.result({ url, models, parallel }, () => [
      `Serving ${models.join(", ")} at ${url}/v1, ${parallel} at once. Ctrl-C ends it.`,
      `Ask: curl ${url}/v1/chat/completions${header} -H "Content-Type: application/json" -d ${shellWord(question)}`,
    ]);
    const stop = (code: ExitCode): "wait" => {
      context.exitCode = code;
      void server.close();
      return "wait";
    };
    await withInterrupts(stop, server.ended);
  });
}

/** @throws ConfigError for anything but `name=path`, and for a name that comes twice. */
function parseAdapters(given: readonly string[]): Record<string, string> {
  const adapters: Record<string, string> = {};
  for (const text of given) {
    const [, name, path] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || path === undefined) {
      throw new ConfigError(
        `--adapter: must be a name and a folder or a name of the hub, as cats=my/adapter, got "${text}"`,
      );
    }
    if (Object.hasOwn(adapters, name)) throw new ConfigError(`--adapter: ${name} names two adapters; rename one`);
    adapters[name] = path;
  }
  return adapters;
}
