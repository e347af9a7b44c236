import { expect, test } from "vitest";
import { listTree, withFolder } from "../../tests/run-command.js";
import { writeFiles } from "../formats/model-folder.js";
import { companionFiles } from "./companions.js";

test("chat templates in a folder of their own go with the model", async () => {
  const files = {
    "config.json": "{}",
    "tokenizer.json": "{}",
    "chat_template.jinja": "a",
    "additional_chat_templates/tool_use.jinja": "b",
    "additional_chat_templates/notes.md": "c",
  };
  await withFolder(files, async (folder) => {
    const found = await companionFiles(folder);
    const texts = [...found].map(([name, bytes]) => [name, new TextDecoder().decode(bytes)]);
    expect(texts).toEqual([
      ["tokenizer.json", "{}"],
      ["chat_template.jinja", "a"],
      ["additional_chat_templates/tool_use.jinja", "b"],
    ]);
    await withFolder({}, async (copy) => {
      await writeFiles(copy, found);
      expect(await listTree(copy)).toEqual([
        "additional_chat_templates",
        "additional_chat_templates/tool_use.jinja",
        "chat_template.jinja",
        "tokenizer.json",
      ]);
    });
  });
});
