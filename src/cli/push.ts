import type { Command } from "commander";
import { formatBytes } from "../base/numbers.js";
import { PUSH_OPTIONS } from "../verbs/options.js";
import type { Pushed } from "../verbs/push.js";
import type { Context } from "./context.js";
import { generateWords, nextLines, promptFor } from "./next-command.js";
import { addOptions, readOptions } from "./options.js";
import { addVerb } from "./usage.js";

const HELP_AFTER = `
Sends what a run, export, merge or quantize wrote to the Hugging Face hub, or
to that of HF_ENDPOINT, in one commit, and makes the repository if there is
none. The token is HF_TOKEN, or that of hf auth login. Nothing is sent that
the hub has already, so an interrupted push goes on when it is called again.`;

/** `highrank push TARGET NAME` */
export function addPush(program: Command, context: Context): void {
  const command = addVerb(program, "push", "send a model or an adapter to the hub")
    .argument("<TARGET>", "a run folder, a folder that export, merge or quantize wrote, or a GGUF file")
    .argument("<NAME>", "the repository: organisation/name, or you/name")
    .addHelpText("after", HELP_AFTER);
  addOptions(command, PUSH_OPTIONS);
  command.action(async (target: string, name: string) => {
    const options = readOptions(command, PUSH_OPTIONS);
    const { pushTarget } = await import("../verbs/push.js");
    const { onUpload, onNotice } = context.downloads;
    const pushed = await pushTarget(target, name, { ...options, onUpload, onNotice });
    const has = (file: RegExp): boolean => pushed.files.some(({ path }) => file.test(path));
    const isText = has(/^tokenizer\.json$/) || !has(/^config\.json$/);
    const example = isText ? await promptFor(target, target) : null;
    const next = has(/\.safetensors$/) ? nextLines(context.name, generateWords(name, example)) : [];
    context.result(pushed, () => [...pushedLines(pushed), ...(pushed.uploaded === null ? [] : next)]);
  });
}

function pushedLines({ name, isPublic, files, leftOut, uploaded }: Pushed): string[] {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const seen = isPublic ? "public" : "private";
  const lines = [
    `push      ${name}, ${seen}: ${files.length} files, ${formatBytes(total)}`,
    ...files.map(({ path, bytes }) => `          ${path}, ${formatBytes(bytes)}`),
    ...(leftOut.length === 0 ? [] : [`left out  ${leftOut.join(", ")}`]),
  ];
  if (uploaded === null) return [...lines, "dry run: nothing was sent"];
  const { changed, commit, page, sentBytes, isNew } = uploaded;
  const done =
    changed.length === 0 ? "nothing: the hub has all of it" : `${changed.length} files, ${formatBytes(sentBytes)}`;
  return [
    ...lines,
    `sent      ${done}`,
    `commit    ${commit.slice(0, 12)}${isNew ? ", the first of a new repository" : ""}`,
    `page      ${page}`,
  ];
}
