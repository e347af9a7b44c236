import path from "node:path";
import { expect } from "vitest";
import { openSafetensors } from "../../src/files/safetensors.js";
import { listTree, runCommand, withFolder } from "../run-command.js";
import type { BadInput } from "./bad-input.js";

/** The messages found so far. */
export const messages: Map<BadInput, string> = new Map();

/** Makes the calls of a row, and resolves to the message that they all give. */
export async function messageOf(row: BadInput): Promise<string> {
  const known = messages.get(row);
  if (known !== undefined) return known;
  const message = await fail(row, row.args);
  for (const args of row.alike ?? []) expect(await fail(row, args)).toBe(message);
  messages.set(row, message);
  return message;
}

function fail(row: BadInput, args: readonly string[]): Promise<string> {
  return withFolder(row.files ?? {}, async (cwd) => {
    await row.prepare?.(cwd);
    const before = await listTree(cwd);
    const { code, stdout, stderr } = await runCommand(args, { cwd, env: row.env ?? {}, ...row.limits });
    for (const text of row.says) expect(stderr).toContain(text);
    expect(stderr).toMatch(/^(error: |Usage: )/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(row.code);
    if (row.prints === undefined) expect(stdout).toMatch(/^(Reading .* and preparing the model …\n)?$/);
    else expect(stdout).toContain(row.prints);
    if (row.leavesFiles) await expectWholeFiles(cwd);
    else expect(await listTree(cwd)).toEqual(before);
    return stable(stderr, cwd);
  });
}

async function expectWholeFiles(folder: string): Promise<void> {
  const names = await listTree(folder);
  expect(names.filter((name) => name.includes("partial"))).toEqual([]);
  for (const name of names.filter((name) => name.endsWith(".safetensors"))) {
    await openSafetensors(path.join(folder, name));
  }
}

/** A message without what differs from one call, or one machine, to the next; of a help text only how it begins. */
function stable(message: string, cwd: string): string {
  const text = message.startsWith("Usage: ") ? `${message.split("\n")[0]}\n…` : message.trimEnd();
  const ofMachine = /\b[\d.]+ \w?i?B are at hand/g;
  return text
    .replaceAll(cwd, "/path")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "<SHA-256>")
    .replaceAll(ofMachine, "<memory> are at hand");
}
