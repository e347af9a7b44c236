import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { runCommand, withFolder } from "./run-command.js";
import { writeChatModel } from "./served-model.js";
import { writeSmallModel } from "./small-model.js";

const GREEDY = ["--temperature", "0", "--max-new-tokens", "8"];

test("a chat of turns of several lines begins anew at /reset, is saved as data, and ends at /exit", () =>
  withFolder({}, async (cwd) => {
    await writeChatModel(path.join(cwd, "model"));
    const input =
      'The cat?\n/save a.jsonl\nThe \\\nmat?\n"""\na\n\nb\n"""\n/save a.jsonl\n/help\n/reset\nThe cat?\n/exit\nnever\n';
    const args = ["chat", "model", "--system", "Be brief.", ...GREEDY];
    const { code, stdout, stderr } = await runCommand(args, { cwd, input });
    expect(code).toBe(0);
    expect(stderr).toContain("/reset ");
    const saved = (await readFile(path.join(cwd, "a.jsonl"), "utf8")).trimEnd().split("\n");
    const [first, second] = saved.map((line) => JSON.parse(line).messages) as { role: string; content: string }[][];
    const answers = second!.filter(({ role }) => role === "assistant").map(({ content }) => content);
    expect(second!.map(({ role }) => role)).toEqual(["system", ...Array(3).fill(["user", "assistant"]).flat()]);
    expect(second!.filter(({ role }) => role === "user").map(({ content }) => content)).toEqual([
      "The cat?",
      "The \nmat?",
      "a\n\nb",
    ]);
    expect(first).toEqual(second!.slice(0, 3));
    // After /reset the first question has its first answer again.
    expect(stdout).toBe([...answers, answers[0]].map((text) => `${text}\n`).join(""));
    const data = await runCommand(["data", "a.jsonl", "--model", "model", "--json"], { cwd });
    expect({ code: data.code, stderr: data.stderr }).toEqual({ code: 0, stderr: "" });
  }));

test("commands that there are not, files that are no data, --json and models without a template are refused", () =>
  withFolder({}, async (cwd) => {
    await writeChatModel(path.join(cwd, "model"));
    await writeSmallModel(path.join(cwd, "plain"));
    const failing = async (input: string, ...args: string[]): Promise<string> => {
      const { code, stderr } = await runCommand(["chat", ...args, ...GREEDY], { cwd, input });
      return `${code} ${stderr}`;
    };
    expect(await failing("/rest\n", "model")).toBe("2 error: /rest: there is no such command; did you mean /reset?\n");
    expect(await failing("/save a.jsonl\n", "model")).toMatch(/^2 error: \/save: there is no answer yet/);
    expect(await failing("a\n/save a.txt\n", "model")).toMatch(/^2 error: \/save: name a file that ends in \.jsonl/);
    expect(await failing("a\n", "model", "--json")).toMatch(/^2 error: --json: a chat is not one object/);
    expect((await runCommand(["chat", "--help", "--all"])).stdout).not.toContain("--json");
    expect(await failing("a\n", "plain")).toMatch(/^2 error: plain: its tokenizer has no chat template/);
  }));
